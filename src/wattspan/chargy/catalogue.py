"""Every metric of `wattspan chargy`, with its unit, labels and help text. It must not know where values come from."""

from wattspan.telemetry.catalogue import Kind, Metric

METRICS: dict[str, Metric] = {}
"""Metrics by name, in the order of the page."""
ATTRIBUTES: dict[str, str] = {}
"""Meaning of each label."""


def _label(name: str, text: str) -> str:
    ATTRIBUTES[name] = text
    return name


def _metric(name: str, kind: Kind, unit: str, text: str, *labels: str) -> Metric:
    METRICS[name] = Metric(name=name, kind=kind, unit=unit, labels=labels, help=text)
    return METRICS[name]


CONNECTOR = _label("connector", "Name of the connector.")
DEVICE = _label("device", "Name of the device that has it.")
STATION = _label("station", "Name of the place where the device is.")
SPEED = _label("speed", "Highest power of the connector, whole kW; 0 if the feed has none.")
SIMPLE_STATE = _label("chargy_connector_state", "available, charging or unavailable.")
DETAILED_STATE = _label("state", "State as the feed spells it.")
RESULT = _label(
    "result", "How a fetch ended: ok, unchanged, timeout, network, status (not 200), too_large or malformed."
)
FAULT = _label(
    "fault",
    "Kind of fault in the feed: a station, device or connector that could not be read, a speed that is no number, "
    "an unknown state, or a double (two connectors with the same labels, exported as one).",
)
FAULTS = ("station", "device", "connector", "speed", "state", "double")
"""Values of the label `fault`."""

CONNECTOR_LABELS = (CONNECTOR, DEVICE, STATION, SPEED)
"""Labels that identify a connector."""

CONNECTOR_STATE = _metric(
    "chargy_connector_state",
    Kind.GAUGE,
    "{state}",
    "1 for the state the connector is in, 0 for the other two.",
    *CONNECTOR_LABELS,
    SIMPLE_STATE,
)
CONNECTOR_DETAILS = _metric(
    "chargy_connector_detailed_state_info",
    Kind.GAUGE,
    "{info}",
    "1, with the connector's state as the feed spells it.",
    *CONNECTOR_LABELS,
    DETAILED_STATE,
)
UP = _metric("chargy_up", Kind.GAUGE, "{up}", "1 when the last fetch of the feed brought usable data, else 0.")
DATA_AGE = _metric(
    "chargy_data_age_seconds",
    Kind.GAUGE,
    "s",
    "Seconds since the data shown was last known to be current; absent before the first.",
)
FETCHES = _metric("chargy_fetches_total", Kind.COUNTER, "{fetch}", "Fetches of the feed, by how they ended.", RESULT)
FEED_FAULTS = _metric("chargy_feed_faults", Kind.GAUGE, "{fault}", "Faults in the feed that is shown.", FAULT)
