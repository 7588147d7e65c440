"""Every metric, span name and attribute, once. It owns names, units and help; where values come from it must not know.

A metric's name is its Prometheus name as it stands (design decision 6). Its unit is `s`, `By` or a note in braces: such
a note never changes a name on its way through a Collector or the stock exporter, and the other two only repeat what the
name says already. docs/metrics.md is made from here by `python -m wattspan.telemetry.reference`.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """What a metric does: a gauge is set, a counter only rises, a histogram counts by size."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. `bounds` are a histogram's upper bucket edges, ascending, without +Inf; empty for the other kinds."""

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    help: str
    bounds: tuple[float, ...] = ()

    def without(self, label: str) -> "Metric":
        """The same metric with one label fewer."""
        return replace(self, labels=tuple(own for own in self.labels if own != label))


METRICS: dict[str, Metric] = {}
"""By name, in the order of the page."""
SPANS: dict[str, str] = {}
"""What each span is, by name."""
ATTRIBUTES: dict[str, str] = {}
"""What each attribute of a span or label of a metric means, by name."""


def span(name: str, help: str) -> str:
    """Enter a span's name."""
    SPANS[name] = help
    return name


def attribute(name: str, help: str) -> str:
    """Enter the name of an attribute or a label."""
    ATTRIBUTES[name] = help
    return name


def _metric(
    name: str, kind: Kind, unit: str, labels: tuple[str, ...], text: str, bounds: tuple[float, ...] = ()
) -> Metric:
    METRICS[name] = Metric(name=name, kind=kind, unit=unit, labels=labels, help=text, bounds=bounds)
    return METRICS[name]


def _gauge(name: str, unit: str, text: str, *labels: str) -> Metric:
    return _metric(name, Kind.GAUGE, unit, labels, text)


def _counter(name: str, unit: str, text: str, *labels: str) -> Metric:
    return _metric(name, Kind.COUNTER, unit, labels, text)


def _seconds(name: str, text: str, *labels: str, bounds: tuple[float, ...]) -> Metric:
    return _metric(name, Kind.HISTOGRAM, "s", labels, text, bounds)


METER = "wattspan"
"""The one meter and tracer; its name is the instrumentation scope."""

CP_ID = attribute("cp_id", "Identity of the charge point, as in its WebSocket address.")
CONNECTOR_ID = attribute("connector_id", "Connector (1.6) or EVSE (2.x), as text; 0 is the charge point as a whole.")
MESSAGE_TYPE = attribute("message_type", "OCPP action; what the version does not name is `other`.")
ERROR_TYPE = attribute(
    "error_type", "OCPP error code or CALLERROR code; for commands also Timeout, NotConnected, ConnectionLost."
)
LIMIT = attribute("limit", "Of what a charge point named too much: `connectors` or `transactions`.")
ACTION = attribute("action", "OCPP action of a command or a message; what the version does not name is `other`.")
STATUS = attribute("status", "Status word of an OCPP answer; of `http_requests_total`, the HTTP status code.")
STATE = attribute("state", "available, charging or unavailable.")
DIRECTION = attribute("direction", "in: from a charge point; out: to one.")
REASON = attribute("reason", "Why a handshake was rejected.")
SIGNAL = attribute("signal", "traces, metrics or logs.")
PLUGIN = attribute("plugin", "Name of a plugin.")
KIND = attribute("kind", "What a plugin did wrong: raised, timeout or dropped (events it was too slow for).")
VENDOR = attribute("vendor", "Vendor as told by the boot message.")
MODEL = attribute("model", "Model as told by the boot message.")
FIRMWARE = attribute("firmware", "Firmware version as told by the boot message.")
METHOD = attribute("method", "HTTP method; what HTTP does not name is `other`.")
ENDPOINT = attribute(
    "endpoint", "Template of an HTTP route, e.g. `/api/v1/charge-points/{cp_id}`; `unmatched` for none."
)
PROTOCOL = attribute("protocol", "WebSocket subprotocol in force, e.g. ocpp1.6.")

# Non-integer edges: a Collector writes an integer `le` in another way than we do. Two edges near the 1 s alert.
HANDLING_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.9, 1.1, 2.5, 7.5)
COMMAND_BOUNDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.1, 2.5, 5.5, 10.5, 20.5, 30.5)
COMMIT_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.1, 2.5, 7.5)
REQUEST_BOUNDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.9, 1.1, 2.5, 5.5, 10.5, 30.5)
CHECK_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.1, 2.5)
SESSION_BOUNDS = (60.5, 300.5, 900.5, 1800.5, 3600.5, 7200.5, 14400.5, 28800.5, 43200.5, 86400.5)

UP = _gauge("ocpp_central_up", "{up}", "1 while the central system runs.")
HANDLING = _seconds(
    "ocpp_msg_handling_seconds",
    "Time from decoding an OCPP message to sending its answer.",
    CP_ID,
    MESSAGE_TYPE,
    bounds=HANDLING_BOUNDS,
)

# One charge point.
CONNECTED = _gauge("ocpp_cp_connected", "{connected}", "1 while the charge point's WebSocket is open, else 0.", CP_ID)
LAST_MSG = _gauge("ocpp_cp_last_msg_ts", "{s}", "Unix time of the last connect or message.", CP_ID)
LAST_HEARTBEAT = _gauge(
    "ocpp_cp_last_heartbeat_ts", "{s}", "Unix time of the last Heartbeat; absent before the first.", CP_ID
)
LAST_TX = _gauge("ocpp_cp_last_tx_ts", "{s}", "Unix time at which a transaction last stopped.", CP_ID)
CP_STATUS = _gauge(
    "ocpp_cp_status",
    "{status}",
    "Status last notified for any connector: Available 0, Preparing 1, Charging 2, SuspendedEVSE 3, SuspendedEV 4, "
    "Finishing 5, Reserved 6, Unavailable 7, Faulted 8, anything else -1.",
    CP_ID,
)
DISCONNECTS = _counter(
    "ocpp_cp_disconnects_total", "{disconnect}", "WebSockets of the charge point that closed.", CP_ID
)
ERRORS = _counter(
    "ocpp_cp_errors_total",
    "{error}",
    "Errors notified by the charge point, and its protocol faults.",
    CP_ID,
    ERROR_TYPE,
)
BOOTS = _counter("ocpp_cp_boots_total", "{boot}", "Boot notifications.", CP_ID)
RECONNECTS_DURING_TX = _counter(
    "ocpp_cp_reconnect_during_tx_total",
    "{reconnect}",
    "Returns of the charge point while a transaction was open; one outage counts once for each open transaction.",
    CP_ID,
)
TX_TOTAL = _counter("ocpp_tx_total", "{transaction}", "Transactions started.", CP_ID)
ENERGY_TOTAL = _counter("ocpp_cp_energy_total_wh", "{Wh}", "Energy delivered by closed transactions, in Wh.", CP_ID)
ENERGY_JUMPS = _counter(
    "ocpp_energy_jump_total", "{jump}", "Pairs of readings of one transaction over 10 kWh apart.", CP_ID
)
CALL_ERRORS = _counter(
    "ocpp_central_call_errors_total", "{error}", "Commands that timed out or failed.", CP_ID, ACTION, ERROR_TYPE
)
CALL_REJECTIONS = _counter(
    "ocpp_central_call_rejected_total",
    "{rejection}",
    "Commands answered with anything but acceptance.",
    CP_ID,
    ACTION,
    STATUS,
)
CP_INFO = _gauge(
    "ocpp_cp_info", "{info}", "1, with what the charge point told of itself.", CP_ID, VENDOR, MODEL, FIRMWARE, PROTOCOL
)
CERTIFICATE_EXPIRES = _gauge(
    "ocpp_cp_certificate_expires_ts",
    "{s}",
    "Unix time at which the client certificate of the charge point ends; absent where it never had one.",
    CP_ID,
)
AUTHORIZATIONS = _counter(
    "ocpp_cp_authorizations_total", "{authorization}", "Id tokens judged, by the answer given.", CP_ID, STATUS
)
SCHEMA_FAULTS = _counter(
    "ocpp_cp_schema_faults_total",
    "{fault}",
    "Messages that broke their schema and were answered all the same.",
    CP_ID,
    ACTION,
)
LIMITS_EXCEEDED = _counter(
    "ocpp_cp_limits_exceeded_total",
    "{time}",
    'Times a charge point named more than is kept apart of one: connectors (they count as "other"), or open '
    "transactions (the oldest is closed).",
    CP_ID,
    LIMIT,
)
MIXED_VERSIONS = _counter(
    "ocpp_cp_mixed_version_messages_total",
    "{message}",
    "Messages in the shape of OCPP 1.6 from a charge point that negotiated a later version; understood all the same.",
    CP_ID,
    ACTION,
)
MISSED = _counter(
    "ocpp_cp_missed_messages_total",
    "{message}",
    "Messages of 2.x transactions whose numbers were skipped and that had not come when the transaction ended.",
    CP_ID,
    ACTION,
)

# One connector.
TX_ACTIVE = _gauge("ocpp_tx_active", "{transaction}", "1 while a transaction is open, else 0.", CP_ID, CONNECTOR_ID)
TX_ENERGY = _gauge("ocpp_tx_energy_wh", "{Wh}", "Energy of the running transaction in Wh, else 0.", CP_ID, CONNECTOR_ID)
CURRENT = _gauge(
    "ocpp_cp_current_a", "{A}", "Current of the highest phase in A; 0 after a transaction.", CP_ID, CONNECTOR_ID
)
CURRENT_LIMIT = _gauge(
    "ocpp_cp_current_limit_a",
    "{A}",
    "The lower of the current offered and the charging profile in force, in A; absent without either.",
    CP_ID,
    CONNECTOR_ID,
)
POWER = _gauge(
    "ocpp_cp_power_w", "{W}", "Active power drawn over all phases in W; 0 after a transaction.", CP_ID, CONNECTOR_ID
)
CONNECTOR_STATUS = _gauge(
    "ocpp_connector_status", "{status}", "Status of the connector, numbered as in ocpp_cp_status.", CP_ID, CONNECTOR_ID
)
CONNECTOR_STATE = _gauge(
    "ocpp_connector_state",
    "{state}",
    "1 for the state the connector is in, 0 for the other two.",
    CP_ID,
    CONNECTOR_ID,
    STATE,
)

# The central system itself.
MESSAGES = _counter(
    "ocpp_central_messages_total", "{message}", "OCPP messages received and sent.", DIRECTION, MESSAGE_TYPE
)
CALLS = _seconds(
    "ocpp_central_call_seconds",
    "Time from sending a command to its answer, error or time-out; its count is the number of commands.",
    ACTION,
    bounds=COMMAND_BOUNDS,
)
SESSIONS = _seconds("ocpp_tx_duration_seconds", "Duration of closed transactions.", bounds=SESSION_BOUNDS)
COMMITS = _seconds("ocpp_store_commit_seconds", "Time the store took to make a batch durable.", bounds=COMMIT_BOUNDS)
STORE_WAITING = _gauge("ocpp_store_waiting", "{answer}", "Answers that wait for the store.")
STORE_FAILURES = _counter("ocpp_store_failures_total", "{failure}", "Batches the store could not write at once.")
SOCKETS = _gauge("ocpp_central_sockets", "{socket}", "Open WebSockets.")
HANDSHAKES_REJECTED = _counter("ocpp_central_handshakes_rejected_total", "{handshake}", "Handshakes rejected.", REASON)
LIMIT_CLOSES = _counter(
    "ocpp_central_limit_closes_total",
    "{connection}",
    "Connections closed because the charge point exceeded a limit.",
    REASON,
)
PENDING = _gauge("ocpp_central_pending_charge_points", "{charge_point}", "Charge points that wait for approval.")
SERVER_CERTIFICATE_EXPIRES = _gauge(
    "ocpp_central_certificate_expires_ts",
    "{s}",
    "Unix time at which the certificate of the OCPP port ends; absent without TLS.",
)
UNREADABLE_FRAMES = _counter("ocpp_central_unreadable_frames_total", "{frame}", "Frames that were no OCPP message.")
UNASKED_RESULTS = _counter(
    "ocpp_central_unasked_results_total", "{result}", "Results that answer nothing that was asked."
)
RESULT_ERRORS = _counter(
    "ocpp_central_result_errors_total",
    "{error}",
    "Our answers that a charge point told us it could not use (CALLRESULTERROR of OCPP 2.1).",
    ERROR_TYPE,
)
PLUGIN_ERRORS = _counter("ocpp_central_plugin_errors_total", "{error}", "Faults of plugins.", PLUGIN, KIND)
TELEMETRY_DROPPED = _counter(
    "ocpp_central_telemetry_dropped_total", "{record}", "Telemetry records that were lost.", SIGNAL
)

# The operator's side: the HTTP API and who uses it.
HTTP_REQUESTS = _counter(
    "http_requests_total", "{request}", "HTTP requests answered by the API.", METHOD, STATUS, ENDPOINT
)
HTTP_SECONDS = _seconds(
    "http_request_duration_seconds",
    "Time from an HTTP request to its answer; of an event stream, to its beginning.",
    METHOD,
    ENDPOINT,
    bounds=REQUEST_BOUNDS,
)
LOGINS = _counter("successful_logins_total", "{login}", "Log-ins with name and password that succeeded.")
LOGINS_FAILED = _counter(
    "failed_logins_total", "{login}", "Log-ins that failed; those refused during a lockout included."
)
LOCKOUTS = _counter("account_lockouts_total", "{lockout}", "Lockouts after failed log-ins, of names and of sources.")
REGISTRATIONS = _counter("successful_registrations_total", "{registration}", "People who registered themselves.")
REGISTRATION_CONFLICTS = _counter(
    "registration_conflicts_total", "{registration}", "Registrations under a name that was taken."
)
LOGIN_SECONDS = _seconds("user_login_duration_seconds", "Time a log-in took, failed ones too.", bounds=REQUEST_BOUNDS)
REGISTRATION_SECONDS = _seconds(
    "user_registration_duration_seconds", "Time a registration took, failed ones too.", bounds=REQUEST_BOUNDS
)
DATABASE_CHECK_SECONDS = _seconds(
    "database_health_check_duration_seconds",
    "Time the database took to accept a write, asked every 15 s and by each health request.",
    bounds=CHECK_BOUNDS,
)
SYSTEM_CHECK_SECONDS = _seconds(
    "system_health_check_duration_seconds", "Time a check of all parts took.", bounds=CHECK_BOUNDS
)
USER_SESSIONS = _gauge(
    "user_sessions_active", "{session}", "Log-ins of people that have not ended, as of the last health check."
)

OCCASIONAL = (
    CALLS,
    SESSIONS,
    COMMITS,
    HTTP_SECONDS,
    LOGIN_SECONDS,
    REGISTRATION_SECONDS,
    DATABASE_CHECK_SECONDS,
    SYSTEM_CHECK_SECONDS,
)
"""The histograms that are not recorded with every message."""

# The process, by OpenTelemetry instruments of its own (process.py).
RESIDENT_MEMORY = _gauge("process_resident_memory_bytes", "By", "Resident memory size in bytes.")
VIRTUAL_MEMORY = _gauge("process_virtual_memory_bytes", "By", "Virtual memory size in bytes.")
CPU_SECONDS = _counter("process_cpu_seconds_total", "s", "Total user and system CPU time spent in seconds.")
OPEN_FDS = _gauge("process_open_fds", "{fd}", "Number of open file descriptors.")
MAX_FDS = _gauge("process_max_fds", "{fd}", "Maximum number of open file descriptors.")
START_TIME = _gauge("process_start_time_seconds", "s", "Start time of the process since unix epoch in seconds.")

# Spans: a message's is named by its action, so only what has a name of its own is here.
SESSION_SPAN = span(
    "charging session", "One transaction from start to stop, told at its end, with a child for each phase."
)
MESSAGE_SPANS = span("{action}", "One OCPP message: SERVER from a charge point, CLIENT for a command to one.")
HTTP_SPANS = span("{method} {endpoint}", "One HTTP request to the API; a command it asked for is its child.")
PHASE_SPANS = span("{phase}", "A phase of a session: preparing, charging, suspended by EV or EVSE, finishing.")

OCPP_ACTION = attribute("ocpp.action", "OCPP action of a message's span; what the version does not name is `other`.")
OCPP_TRANSACTION_ID = attribute("ocpp.transaction_id", "OCPP transaction the message or session belongs to.")
OCPP_STATUS = attribute("ocpp.status", "Status word of a charge point's answer to a command.")
OCPP_STORE_WAIT = attribute("ocpp.store_wait_s", "Seconds an answer waited until its facts were durable.")
OCPP_ENERGY = attribute("ocpp.energy_wh", "Energy of a session in Wh.")
OCPP_ID_TOKEN_HASH = attribute("ocpp.id_token_hash", "Keyed hash of the id token that began a session.")
OCPP_REASON = attribute("ocpp.reason", "Why a session ended, in OCPP's word; Orphaned is ours.")
OCPP_ERROR_CODE = attribute("ocpp.error_code", "errorCode of a StatusNotification, told as an event of a session.")
FAULT_CODE = attribute("ocpp.fault.code", "CALLERROR code a schema fault deserves, told as an event of a message.")
FAULT_PATH = attribute("ocpp.fault.path", "Where in the payload the schema is broken.")
FAULT_TEXT = attribute("ocpp.fault.text", "What is wrong there, without the value.")
HTTP_METHOD = attribute("http.request.method", "Method of an HTTP request.")
HTTP_ROUTE = attribute("http.route", "Template of the route; never the path itself, which may name an id tag.")
HTTP_STATUS = attribute("http.response.status_code", "Status code it was answered with.")
CLOSE_CODE = attribute("ws.close_code", "WebSocket close code of a disconnect in mid-session.")
FAILURE = attribute("error.type", "CALLERROR code, Timeout, ConnectionLost, …: why a message or command failed.")
FORCE_SAMPLE = attribute(
    "csms.force_sample", "True on spans that a tail sampler must keep: an exemplar points to them."
)
