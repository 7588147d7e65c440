from pathlib import Path
from types import ModuleType

import pytest

from wattspan.chargy import reference as chargy_reference
from wattspan.telemetry import catalogue, reference
from wattspan.telemetry.catalogue import Kind, Metric
from wattspan.telemetry.families import FAMILIES, Scope
from wattspan.telemetry.histogram import Histograms

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"

# requirements: names, labels and types are exact.
PROMISED = """
ocpp_central_up gauge
ocpp_msg_handling_seconds cp_id,message_type histogram
ocpp_cp_connected cp_id gauge
ocpp_cp_last_msg_ts cp_id gauge
ocpp_cp_last_heartbeat_ts cp_id gauge
ocpp_cp_last_tx_ts cp_id gauge
ocpp_cp_status cp_id gauge
ocpp_cp_disconnects_total cp_id counter
ocpp_cp_errors_total cp_id,error_type counter
ocpp_cp_boots_total cp_id counter
ocpp_cp_reconnect_during_tx_total cp_id counter
ocpp_tx_active cp_id,connector_id gauge
ocpp_tx_energy_wh cp_id,connector_id gauge
ocpp_tx_total cp_id counter
ocpp_cp_energy_total_wh cp_id counter
ocpp_cp_current_a cp_id,connector_id gauge
ocpp_cp_current_limit_a cp_id,connector_id gauge
ocpp_energy_jump_total cp_id counter
ocpp_central_call_errors_total cp_id,action,error_type counter
ocpp_central_call_rejected_total cp_id,action,status counter
ocpp_connector_status cp_id,connector_id gauge
ocpp_connector_state cp_id,connector_id,state gauge
ocpp_cp_power_w cp_id,connector_id gauge
process_resident_memory_bytes gauge
process_virtual_memory_bytes gauge
process_cpu_seconds_total counter
process_open_fds gauge
process_max_fds gauge
process_start_time_seconds gauge
"""


@pytest.mark.parametrize("line", PROMISED.split("\n")[1:-1])
def test_every_promised_metric_has_its_exact_name_labels_and_type(line: str) -> None:
    name, *labels, kind = line.split(" ")
    found = catalogue.METRICS[name]
    assert (",".join(found.labels), found.kind) == (",".join(labels), kind)


@pytest.mark.parametrize("metric", catalogue.METRICS.values(), ids=lambda metric: metric.name)
def test_no_unit_changes_a_name_on_its_way_through_a_collector_or_the_stock_exporter(metric: Metric) -> None:
    base = metric.name.removesuffix("_total")
    assert metric.unit.startswith("{") or base.endswith({"s": "_seconds", "By": "_bytes"}[metric.unit])


def test_bucket_bounds_ascend_and_none_is_whole_because_that_is_written_differently_elsewhere() -> None:
    for metric in catalogue.METRICS.values():
        assert (metric.kind is Kind.HISTOGRAM) == bool(metric.bounds)
        assert list(metric.bounds) == sorted(set(metric.bounds))
        assert not any(bound.is_integer() for bound in metric.bounds)


def test_each_metric_is_read_from_exactly_one_place() -> None:
    read = [*FAMILIES, *(histogram.metric.name for histogram in Histograms())]
    instruments = [name for name in catalogue.METRICS if name.startswith("process_")]
    assert sorted([*read, *instruments]) == sorted(catalogue.METRICS)


def test_a_family_is_read_from_what_its_first_labels_name() -> None:
    for family in FAMILIES.values():
        assert family.metric.labels[: family.scope] == ("cp_id", "connector_id")[: family.scope]
        assert ("connector_id" in family.metric.labels) == (family.scope is Scope.CONNECTOR)


def test_every_label_is_explained() -> None:
    used = {label for metric in catalogue.METRICS.values() for label in metric.labels}
    assert used <= catalogue.ATTRIBUTES.keys()


def test_the_reference_is_what_the_catalogue_says_now() -> None:
    message = "run: python -m wattspan.telemetry.reference, python -m wattspan.chargy.reference"
    assert DOCS.read_text(encoding="utf-8") == reference.text() + chargy_reference.text(), message


@pytest.mark.parametrize("part", [reference, chargy_reference])
def test_each_generator_keeps_the_part_of_the_other(part: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "metrics.md"
    page.write_text(DOCS.read_text(encoding="utf-8").replace("| counter |", "| old |"), encoding="utf-8")
    part.write(page)
    other = chargy_reference if part is reference else reference
    found = page.read_text(encoding="utf-8")
    assert part.text() in found
    assert other.text().replace("| counter |", "| old |") in found
