import pytest

from wattspan.telemetry.catalogue import Kind
from wattspan.telemetry.histogram import Exemplar
from wattspan.telemetry.prometheus.exposition import Format, exemplar, head, number, pairs, takes_gzip, wanted

TEXT, OPENMETRICS = Format.TEXT, Format.OPENMETRICS


def test_label_values_are_escaped() -> None:
    assert pairs(("cp_id", "state"), ('a"b\\c\nd', "ü")) == r'cp_id="a\"b\\c\nd",state="ü"'


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (0.5, "0.5"), (1e16, "1e+16"), (float("nan"), "NaN"), (float("inf"), "+Inf"), (float("-inf"), "-Inf")],
)
def test_numbers_are_written_as_prometheus_reads_them(value: float, text: str) -> None:
    assert number(value) == text


def test_an_openmetrics_counter_family_goes_without_its_ending() -> None:
    assert head("boots_total", Kind.COUNTER, "Boots.", OPENMETRICS) == "# HELP boots Boots.\n# TYPE boots counter\n"
    assert head("boots_total", Kind.COUNTER, "Boots.", TEXT).endswith("# TYPE boots_total counter\n")


def test_the_energy_counter_is_a_counter_in_text_and_unknown_in_openmetrics() -> None:
    name = "ocpp_cp_energy_total_wh"
    assert f"# TYPE {name} counter\n" in head(name, Kind.COUNTER, "Energy.", TEXT)
    assert f"# TYPE {name} unknown\n" in head(name, Kind.COUNTER, "Energy.", OPENMETRICS)


def test_help_is_escaped_as_each_format_wants_it() -> None:
    assert head("a", Kind.GAUGE, 'x "y"\n\\', TEXT).startswith('# HELP a x "y"\\n\\\\\n')
    assert head("a", Kind.GAUGE, 'x "y"', OPENMETRICS).startswith('# HELP a x \\"y\\"\n')


def test_an_exemplar_names_its_span() -> None:
    assert exemplar(Exemplar(255, 16, 0.0025, 1.5)) == (
        ' # {trace_id="000000000000000000000000000000ff",span_id="0000000000000010"} 0.0025 1.500'
    )


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", OPENMETRICS),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=oops", TEXT),
        ("text/plain, application/openmetrics-text;q=0.5", TEXT),
        # Prometheus 2.42
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OPENMETRICS,
        ),
        # Prometheus 3
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
            "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
            "text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            OPENMETRICS,
        ),
    ],
)
def test_a_scraper_gets_the_format_it_prefers(accept: str, form: Format) -> None:
    assert wanted(accept) is form


@pytest.mark.parametrize(
    ("header", "yes"),
    [("", False), ("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("*", True), ("*, gzip;q=0", False)],
)
def test_gzip_is_used_where_it_is_allowed(header: str, yes: bool) -> None:
    assert takes_gzip(header) is yes
