"""The dashboard *Station view*: connectors free and taken, of the public network (Chargy) and of our own fleet."""

from dashboards.events import by_charge_point
from dashboards.model import Dashboard, Panel, Query, Row
from dashboards.panels import donut, gauge, lines, stat
from dashboards.parts import ADDRESSES, LINKS, datasource, label_values

_OVERRIDES = {"color": {"mode": "palette-classic-by-name"}}
_PUBLIC_LABEL = "chargy_connector_state"


def _public(selector: str) -> str:
    return f"sum by ({_PUBLIC_LABEL}) (chargy_connector_state{{{selector}}})"


def _own(selector: str) -> str:
    return f"sum by (state) ({by_charge_point('ocpp_connector_state', 'connector_id', 'state', selector=selector)})"


def _booked(metric: str, by: str, state: str) -> str:
    """Share of stations where no connector is available and one at least charges; 0 when none is fully booked."""
    free = f'sum by ({by}) ({metric}{{{state}="available"}}) == 0'
    taken = f'sum by ({by}) ({metric}{{{state}="charging"}}) > 0'
    stations = f"count(count by ({by}) ({metric}))"
    return f"(count({free} and {taken}) or vector(0)) / ({stations} > 0)"


def _none_free(metric: str, by: str, state: str) -> str:
    """Share of stations where no connector is available, as chargy_exporter's dashboard counts: those that are wholly
    unavailable are among them."""
    free = f'sum by ({by}) ({metric}{{{state}="available"}}) == 0'
    return f"(count({free}) or vector(0)) / (count(count by ({by}) ({metric})) > 0)"


def _pair(title: str, what: str, expr: str, legend: str) -> tuple[Panel, Panel]:
    return (
        donut(f"{title}, Now", f"Connectors of {what} by state.", "none", Query(expr=expr, legend=legend),
              width=8, defaults={"noValue": "no data", **_OVERRIDES}),
        lines(f"{title}, Over Time", f"Connectors of {what} by state.", "none", Query(expr=expr, legend=legend),
              width=16, stacked=True, fill=40, defaults={"noValue": "no data", **_OVERRIDES}),
    )  # fmt: skip


def _booking(network: str, *labels: str) -> tuple[Panel, Panel, Panel]:
    """`labels`: metric, the label of the station, the label of the state."""
    booked, none_free = _booked(*labels), _none_free(*labels)
    return (
        gauge(f"Fully Booked, {network}", "Share of stations where all is taken; 0 when none is.",
              "percentunit", Query(expr=booked), width=4, height=8),
        gauge(f"Without a Free Connector, {network}", "The same with stations that are wholly out of order.",
              "percentunit", Query(expr=none_free), width=4, height=8),
        lines(f"Fully Booked Over Time, {network}", "Both over time.", "percentunit",
              Query(expr=booked, legend="fully booked"),
              Query(expr=none_free, legend="without a free connector"), width=16, defaults={"min": 0, "max": 1}),
    )  # fmt: skip


STATION = Row(
    title="Public network: $station",
    panels=_pair("Station", "the station", _public('station=~"$station"'), "{{chargy_connector_state}}"),
)
NETWORK = Row(
    title="Public network: all stations",
    panels=(
        *_pair("Network", "the whole network", _public(""), "{{chargy_connector_state}}"),
        *_booking("Public Network", "chargy_connector_state", "station", _PUBLIC_LABEL),
        stat("Age of the Data", "Since the feed was last read. Runbooks: ChargyDown, ChargyStale.", "s",
             Query(expr="max(chargy_data_age_seconds)"), width=8, defaults={"noValue": "no data"}),
        stat("Stations", "In the feed.", "none",
             Query(expr="count(count by (station) (chargy_connector_state))"), width=8,
             defaults={"noValue": "no data"}),
        stat("Feed", "1 when the last fetch was good.", "none",
             Query(expr="min(chargy_up)"), width=8, defaults={"noValue": "no data"}),
    ),
)  # fmt: skip
OWN_STATION = Row(
    title="Our fleet: $cp_id",
    panels=_pair("Charge Point", "the charge point", _own('cp_id=~"$cp_id"'), "{{state}}"),
)
OWN_NETWORK = Row(
    title="Our fleet: all charge points",
    panels=(
        *_pair("Fleet", "the whole fleet", _own(""), "{{state}}"),
        *_booking("Our Fleet", "ocpp_connector_state", "cp_id", "state"),
    ),
)

DASHBOARD = Dashboard(
    uid="wattspan-station",
    title="Station view",
    description="Which connectors are free, taken or out of order: of the public Chargy network and of our own fleet.",
    rows=(STATION, NETWORK, OWN_STATION, OWN_NETWORK),
    variables=(
        datasource(),
        label_values("station", "station", "chargy_connector_state", "Station"),
        label_values("cp_id", "cp_id", "ocpp_connector_state", "Charge point"),
        *ADDRESSES,
    ),
    links=LINKS,
)
