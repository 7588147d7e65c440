"""Every metric, span name and attribute. It owns names, units and help texts; it must not know where values come from.

The name of a metric is its Prometheus name (docs/adr/0012-founding-decisions.md#6). Its unit is `s`, `By` or an
annotation in braces: an annotation never changes a name on its way through a Collector or the stock exporter, and the
other two only repeat what the name has already. `python -m wattspan.telemetry.reference` writes docs/metrics.md from
this module.
"""

# ruff: noqa: PLC0414  users of the catalogue import these from here, so they are re-exported
from wattspan.telemetry.definitions import ATTRIBUTES as ATTRIBUTES
from wattspan.telemetry.definitions import LOG_EVENTS as LOG_EVENTS
from wattspan.telemetry.definitions import METRICS as METRICS
from wattspan.telemetry.definitions import SPANS as SPANS
from wattspan.telemetry.definitions import Kind as Kind
from wattspan.telemetry.definitions import Metric as Metric
from wattspan.telemetry.definitions import attribute, counter, gauge, log_event, seconds, span

METER = "wattspan"
"""The name of the meter and the tracer, the instrumentation scope."""
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The semantic conventions that attributes outside `ocpp`, `csms`, `ws` and `wattspan` follow."""
RPC = "ocpp"
UNDEFINED = "_OTHER"
"""How the conventions name a method that is not defined."""

CP_ID = attribute("cp_id", "Identity of the charge point, as in its WebSocket address.")
CONNECTOR_ID = attribute("connector_id", "Connector (1.6) or EVSE (2.x), as text; 0 is the charge point as a whole.")
MESSAGE_TYPE = attribute("message_type", "OCPP action; `other` if the OCPP version does not define it.")
ERROR_TYPE = attribute(
    "error_type", "OCPP error code or CALLERROR code; for commands also Timeout, NotConnected, ConnectionLost."
)
LIMIT = attribute("limit", "What exceeded its limit: `connectors` or `transactions`.")
ACTION = attribute("action", "OCPP action of a command or a message; `other` if the OCPP version does not define it.")
STATUS = attribute("status", "Status of an OCPP response; of `http_requests_total`, the HTTP status code.")
STATE = attribute("state", "available, charging or unavailable.")
DIRECTION = attribute("direction", "`in`: from a charge point; `out`: to a charge point.")
REASON = attribute(
    "reason",
    "Why a handshake was rejected, a connection closed, an energy corrected or a message not observed.",
)
SIGNAL = attribute("signal", "traces, metrics or logs.")
PLUGIN = attribute("plugin", "Name of a plugin.")
KIND = attribute(
    "kind",
    "How a plugin failed: raised, timeout, blocked, invalid (an answer) or dropped (events it was too slow for).",
)
TASK = attribute(
    "task",
    "Periodic task: registry, health, job_expiry, reading_partitions, reading_expiry, audit_expiry, series_expiry, "
    "timeline_expiry, message_expiry or renewal.",
)
VENDOR = attribute("vendor", "Vendor, from the boot notification.")
MODEL = attribute("model", "Model, from the boot notification.")
FIRMWARE = attribute("firmware", "Firmware version, from the boot notification.")
METHOD = attribute("method", "HTTP method; `other` if HTTP does not define it.")
ENDPOINT = attribute(
    "endpoint", "Template of an HTTP route, e.g. `/api/v1/charge-points/{cp_id}`; `unmatched` for none."
)
MIRROR = attribute(
    "mirror",
    "Host and port of a mirror, a central system that gets copies of messages; with the path if several are there.",
)
OUTCOME = attribute(
    "outcome",
    "Of a mirrored message: answered, refused, unanswered, sent or dropped. Of a command sent to another node: "
    "answered, failed (by the charge point), not_connected, unreachable (the node) or lost (the answer).",
)
DIFFERENCE = attribute("difference", "status, missing or slower.")
VERSION = attribute("version", "Version of Wattspan.")
PYTHON = attribute("python", "Version of Python.")
PROTOCOL = attribute("protocol", "WebSocket subprotocol of the connection, e.g. ocpp1.6.")
SITE = attribute("site", "Id of the site that an operator gave the charge point; empty without one.")

# Non-integer bounds: a Collector formats an integer `le` differently. Two bounds are near the 1 s alert threshold.
HANDLING_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.9, 1.1, 2.5, 7.5)
COMMAND_BOUNDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.1, 2.5, 5.5, 10.5, 20.5, 30.5)
COMMIT_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.1, 2.5, 7.5)
REQUEST_BOUNDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.9, 1.1, 2.5, 5.5, 10.5, 30.5)
CHECK_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.1, 2.5)
ROUTE_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.1, 2.5, 5.5, 10.5, 30.5)
SESSION_BOUNDS = (60.5, 300.5, 900.5, 1800.5, 3600.5, 7200.5, 14400.5, 28800.5, 43200.5, 86400.5)

BUILD_INFO = gauge("wattspan_build_info", "{info}", "1, with the version of Wattspan and of Python.", VERSION, PYTHON)
UP = gauge("ocpp_central_up", "{up}", "1 while the central system runs.")
HANDLING = seconds(
    "ocpp_msg_handling_seconds",
    "Time from decoding an OCPP message to sending its answer.",
    CP_ID,
    MESSAGE_TYPE,
    bounds=HANDLING_BOUNDS,
)

# One charge point.
CONNECTED = gauge("ocpp_cp_connected", "{connected}", "1 while the charge point's WebSocket is open, else 0.", CP_ID)
LAST_MSG = gauge("ocpp_cp_last_msg_ts", "{s}", "Unix time of the last connect or message.", CP_ID)
LAST_HEARTBEAT = gauge(
    "ocpp_cp_last_heartbeat_ts", "{s}", "Unix time of the last Heartbeat; absent before the first.", CP_ID
)
CLOCK_OFFSET_SECONDS = gauge(
    "ocpp_cp_clock_offset_seconds",
    "{s}",
    "Seconds that the charge point's clock is ahead of ours, by the timestamps of its statuses; absent within 60 s.",
    CP_ID,
)
LAST_TX = gauge("ocpp_cp_last_tx_ts", "{s}", "Unix time at which a transaction last stopped.", CP_ID)
CP_STATUS = gauge(
    "ocpp_cp_status",
    "{status}",
    "Status last reported for any connector: Available 0, Preparing 1, Charging 2, SuspendedEVSE 3, SuspendedEV 4, "
    "Finishing 5, Reserved 6, Unavailable 7, Faulted 8, anything else -1.",
    CP_ID,
)
DISCONNECTS = counter("ocpp_cp_disconnects_total", "{disconnect}", "WebSockets of the charge point that closed.", CP_ID)
ERRORS = counter(
    "ocpp_cp_errors_total",
    "{error}",
    "Errors reported by the charge point, and its protocol errors.",
    CP_ID,
    ERROR_TYPE,
)
BOOTS = counter("ocpp_cp_boots_total", "{boot}", "Boot notifications.", CP_ID)
RECONNECTS_DURING_TX = counter(
    "ocpp_cp_reconnect_during_tx_total",
    "{reconnect}",
    "Reconnects of the charge point while a transaction was open; one outage counts once for each open transaction.",
    CP_ID,
)
TX_TOTAL = counter("ocpp_tx_total", "{transaction}", "Transactions started.", CP_ID)
ENERGY_TOTAL = counter("ocpp_cp_energy_total_wh", "{Wh}", "Energy delivered by closed transactions, in Wh.", CP_ID)
ENERGY_JUMPS = counter(
    "ocpp_energy_jump_total",
    "{jump}",
    "Consecutive readings of one transaction that differ by more than 10 kWh.",
    CP_ID,
)
ENERGY_CORRECTED = counter(
    "ocpp_tx_energy_corrected_total",
    "{transaction}",
    "Transactions whose energy is not the difference of the registers that the charge point sent for start and stop, "
    "by reason: see docs/metering.md.",
    CP_ID,
    REASON,
)
CALL_ERRORS = counter(
    "ocpp_central_call_errors_total", "{error}", "Commands that timed out or failed.", CP_ID, ACTION, ERROR_TYPE
)
CALL_REJECTIONS = counter(
    "ocpp_central_call_rejected_total",
    "{rejection}",
    "Commands answered with a status other than acceptance.",
    CP_ID,
    ACTION,
    STATUS,
)
CP_INFO = gauge(
    "ocpp_cp_info",
    "{info}",
    "1, with what the charge point reported about itself.",
    CP_ID,
    VENDOR,
    MODEL,
    FIRMWARE,
    PROTOCOL,
    SITE,
)
CERTIFICATE_EXPIRES = gauge(
    "ocpp_cp_certificate_expires_ts",
    "{s}",
    "Unix time at which the client certificate of the charge point expires; absent if it never had one.",
    CP_ID,
)
AUTHORIZATIONS = counter(
    "ocpp_cp_authorizations_total",
    "{authorization}",
    "Authorization decisions about id tokens, by the status returned.",
    CP_ID,
    STATUS,
)
SCHEMA_FAULTS = counter(
    "ocpp_cp_schema_faults_total",
    "{fault}",
    "Messages that violated their schema and were answered nevertheless.",
    CP_ID,
    ACTION,
)
LIMITS_EXCEEDED = counter(
    "ocpp_cp_limits_exceeded_total",
    "{time}",
    'Times a charge point exceeded a limit: on connectors (further ones count as "other") or on open transactions '
    "(the oldest is closed).",
    CP_ID,
    LIMIT,
)
MIXED_VERSIONS = counter(
    "ocpp_cp_mixed_version_messages_total",
    "{message}",
    "OCPP 1.6 messages from a charge point that negotiated a later version; they are handled.",
    CP_ID,
    ACTION,
)
MISSED = counter(
    "ocpp_cp_missed_messages_total",
    "{message}",
    "Messages of 2.x transactions whose sequence numbers were missing when the transaction ended.",
    CP_ID,
    ACTION,
)

# One connector.
TX_ACTIVE = gauge("ocpp_tx_active", "{transaction}", "1 while a transaction is open, else 0.", CP_ID, CONNECTOR_ID)
TX_ENERGY = gauge("ocpp_tx_energy_wh", "{Wh}", "Energy of the running transaction in Wh, else 0.", CP_ID, CONNECTOR_ID)
CURRENT = gauge(
    "ocpp_cp_current_a", "{A}", "Current of the highest phase in A; 0 after a transaction.", CP_ID, CONNECTOR_ID
)
CURRENT_LIMIT = gauge(
    "ocpp_cp_current_limit_a",
    "{A}",
    "The lower of the offered current and the limit of the active charging profile, in A; absent without either.",
    CP_ID,
    CONNECTOR_ID,
)
POWER = gauge(
    "ocpp_cp_power_w", "{W}", "Active power drawn over all phases in W; 0 after a transaction.", CP_ID, CONNECTOR_ID
)
CONNECTOR_STATUS = gauge(
    "ocpp_connector_status", "{status}", "Status of the connector, numbered as in ocpp_cp_status.", CP_ID, CONNECTOR_ID
)
CONNECTOR_STATE = gauge(
    "ocpp_connector_state",
    "{state}",
    "1 for the current state of the connector, 0 for the other two.",
    CP_ID,
    CONNECTOR_ID,
    STATE,
)

# The central system itself.
MESSAGES = counter(
    "ocpp_central_messages_total", "{message}", "OCPP messages received and sent.", DIRECTION, MESSAGE_TYPE
)
CALLS = seconds(
    "ocpp_central_call_seconds",
    "Time from sending a command to its answer, error or time-out; its count is the number of commands.",
    ACTION,
    bounds=COMMAND_BOUNDS,
)
SESSIONS = seconds("ocpp_tx_duration_seconds", "Duration of closed transactions.", bounds=SESSION_BOUNDS)
COMMITS = seconds("ocpp_store_commit_seconds", "Time the store took to make a batch durable.", bounds=COMMIT_BOUNDS)
STORE_WAITING = gauge("ocpp_store_waiting", "{answer}", "Responses that wait for the store.")
STORE_FAILURES = counter("ocpp_store_failures_total", "{failure}", "Attempts to write a batch that failed.")
SOCKETS = gauge("ocpp_central_sockets", "{socket}", "Open WebSockets.")
HANDSHAKES_REJECTED = counter("ocpp_central_handshakes_rejected_total", "{handshake}", "Handshakes rejected.", REASON)
LIMIT_CLOSES = counter(
    "ocpp_central_limit_closes_total",
    "{connection}",
    "Connections closed because the charge point exceeded a limit.",
    REASON,
)
NODES = gauge("ocpp_central_nodes", "{node}", "Nodes of the cluster that are alive, as this one sees it.")
OWNED_CHARGE_POINTS = gauge(
    "ocpp_central_owned_charge_points", "{charge_point}", "Charge points that this node of the cluster owns."
)
TAKEOVERS = counter(
    "ocpp_central_takeovers_total",
    "{charge_point}",
    "Charge points that this node took from another one because they connected to it.",
)
ADOPTIONS = counter(
    "ocpp_central_adoptions_total",
    "{charge_point}",
    "Charge points that this node took from a node that was gone.",
)
FENCED_WRITES = counter(
    "ocpp_central_fenced_writes_total",
    "{charge_point}",
    "Charge points that this node did not write because another node owns them.",
)
LEASE_AGE = gauge(
    "ocpp_central_lease_age_seconds",
    "s",
    "Time since PostgreSQL took this node's last heartbeat; from 15 s on others adopt its charge points.",
)
CLOCK_DIFFERENCE = gauge(
    "ocpp_central_clock_difference_seconds",
    "s",
    "How far this machine's clock is ahead of PostgreSQL's. Over 1 s, the node dates by PostgreSQL's.",
)
PENDING = gauge("ocpp_central_pending_charge_points", "{charge_point}", "Charge points that are waiting for approval.")
SERVER_CERTIFICATE_EXPIRES = gauge(
    "ocpp_central_certificate_expires_ts",
    "{s}",
    "Unix time at which the certificate of the OCPP port expires; absent without TLS.",
)
UNREADABLE_FRAMES = counter(
    "ocpp_central_unreadable_frames_total", "{frame}", "Frames that were not valid OCPP messages."
)
UNEXPECTED_RESULTS = counter("ocpp_central_unasked_results_total", "{result}", "Results without a matching request.")
RESULT_ERRORS = counter(
    "ocpp_central_result_errors_total",
    "{error}",
    "Responses of ours that a charge point rejected (CALLRESULTERROR of OCPP 2.1).",
    ERROR_TYPE,
)
UNOBSERVED = counter(
    "ocpp_observer_unobserved_total",
    "{item}",
    "What the observer of another system's conversations did not record: `charge_points` beyond its limit, messages "
    "too long (`frame_size`) or with too many samples (`readings`), requests that were still open when too many others "
    "followed (`outstanding`), answers "
    "without a request (`unmatched_answer`), and its own faults (`failure`). Absent on Wattspan's central system.",
    REASON,
)

# The proxy.
UPSTREAM = seconds(
    "ocpp_proxy_upstream_seconds",
    "Time from relaying a charge point's message until the central system's answer was relayed.",
    MESSAGE_TYPE,
    bounds=HANDLING_BOUNDS,
)
PROXY_UNOBSERVED = counter(
    "ocpp_proxy_unobserved_total",
    "{message}",
    "Messages that the proxy relayed and did not observe: too many waited (`queue_full`), one was too long "
    "(`message_too_long`), observing failed (`failure`), or the database was down for long (`store`).",
    REASON,
)
PROXY_REDIRECTIONS = counter(
    "ocpp_proxy_redirections_total",
    "{command}",
    "Commands that may change the address a charge point connects to, so that it would bypass the proxy.",
    ACTION,
)
MIRROR_MESSAGES = counter(
    "ocpp_proxy_mirror_messages_total",
    "{message}",
    "Messages of charge points for a mirror: `answered`, `refused` by a CALLERROR, `unanswered` in time, `sent` if it "
    "needs no answer (SEND of OCPP 2.1), or `dropped` because the mirror is not connected or too slow, or the message "
    "too long.",
    MIRROR,
    OUTCOME,
)
MIRROR_DIFFERENCES = counter(
    "ocpp_proxy_mirror_differences_total",
    "{answer}",
    "Answers of a mirror that differ from the central system's: in their `status`, `missing`, or `slower`.",
    MIRROR,
    DIFFERENCE,
)
PLUGIN_ERRORS = counter("ocpp_central_plugin_errors_total", "{error}", "Failures of plugins.", PLUGIN, KIND)
TELEMETRY_DROPPED = counter(
    "ocpp_central_telemetry_dropped_total", "{record}", "Telemetry records that were lost.", SIGNAL
)
HISTORY_DROPPED = counter(
    "ocpp_central_history_dropped_total",
    "{record}",
    "Messages, changes of state and blocks of samples that the history lost, because the server or its store was busy.",
    KIND,
)
MAINTENANCE_FAILURES = counter(
    "ocpp_central_maintenance_failures_total",
    "{failure}",
    "Turns of periodic tasks that failed and are tried again: following the registry, checking the database, deleting "
    "old rows, having certificates renewed.",
    TASK,
)

# Nodes of a cluster: what passes through Redis.
ROUTED = counter(
    "ocpp_central_routed_commands_total",
    "{command}",
    "Commands sent to charge points that are connected to other nodes, by outcome. Absent without a cluster.",
    OUTCOME,
)
ROUTED_SECONDS = seconds(
    "ocpp_central_routed_command_seconds",
    "Time from sending a command to another node to its answer, the charge point's time included.",
    bounds=ROUTE_BOUNDS,
)
REDIS_SECONDS = seconds(
    "ocpp_central_redis_seconds", "Time of a round trip to Redis, of up to 256 commands at once.", bounds=CHECK_BOUNDS
)
BUS_DROPPED = counter(
    "ocpp_central_node_messages_dropped_total",
    "{item}",
    "Events, presence records and notices for other nodes that were dropped, because Redis did not answer or too many "
    "waited. Charging and telemetry do not need them.",
)
REDIS_CHECK_SECONDS = seconds(
    "redis_health_check_duration_seconds",
    "Time Redis took to answer and to deliver a message, checked every 2 s. Absent without a cluster.",
    bounds=CHECK_BOUNDS,
)

# The HTTP API and its users.
HTTP_REQUESTS = counter(
    "http_requests_total", "{request}", "HTTP requests answered by the API.", METHOD, STATUS, ENDPOINT
)
HTTP_SECONDS = seconds(
    "http_request_duration_seconds",
    "Time from an HTTP request to its response; for an event stream, to its start.",
    METHOD,
    ENDPOINT,
    bounds=REQUEST_BOUNDS,
)
LOGINS = counter("successful_logins_total", "{login}", "Log-ins with name and password that succeeded.")
LOGINS_FAILED = counter(
    "failed_logins_total", "{login}", "Log-ins that failed; those refused during a lockout included."
)
LOCKOUTS = counter("account_lockouts_total", "{lockout}", "Lockouts after failed log-ins, of names and of sources.")
REGISTRATIONS = counter("successful_registrations_total", "{registration}", "People who registered themselves.")
REGISTRATION_CONFLICTS = counter(
    "registration_conflicts_total", "{registration}", "Registrations with a name that was taken."
)
LOGIN_SECONDS = seconds("user_login_duration_seconds", "Time a log-in took, failed ones too.", bounds=REQUEST_BOUNDS)
REGISTRATION_SECONDS = seconds(
    "user_registration_duration_seconds", "Time a registration took, failed ones too.", bounds=REQUEST_BOUNDS
)
DATABASE_CHECK_SECONDS = seconds(
    "database_health_check_duration_seconds",
    "Time the database took to accept a write, checked every 15 s and by each health request.",
    bounds=CHECK_BOUNDS,
)
SYSTEM_CHECK_SECONDS = seconds(
    "system_health_check_duration_seconds", "Time a check of all parts took.", bounds=CHECK_BOUNDS
)
USER_SESSIONS = gauge("user_sessions_active", "{session}", "Active log-ins, as of the last health check.")

HTTP_SERVER_DURATION = "http.server.request.duration"
"""The stable HTTP conventions' histogram, which leaves by OTLP beside HTTP_SECONDS and is not on the page."""
HTTP_SERVER_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
BY_OTLP_ONLY = frozenset({HTTP_SERVER_DURATION})

OCCASIONAL = tuple(each for each in METRICS.values() if each.kind is Kind.HISTOGRAM and each is not HANDLING)
"""The histograms other than HANDLING: those not recorded with every message."""

# The process, by OpenTelemetry instruments (process.py).
RESIDENT_MEMORY = gauge("process_resident_memory_bytes", "By", "Resident memory size in bytes.")
VIRTUAL_MEMORY = gauge("process_virtual_memory_bytes", "By", "Virtual memory size in bytes.")
CPU_SECONDS = counter("process_cpu_seconds_total", "s", "Total user and system CPU time spent in seconds.")
OPEN_FDS = gauge("process_open_fds", "{fd}", "Number of open file descriptors.")
MAX_FDS = gauge("process_max_fds", "{fd}", "Maximum number of open file descriptors.")
START_TIME = gauge("process_start_time_seconds", "s", "Start time of the process since unix epoch in seconds.")

# Spans. The span of a message has the name of its action.
SESSION_SPAN = span(
    "charging session",
    "One transaction from start to stop, emitted at its end. Its phases are emitted when they end, so until then they "
    "lack their parent. It links to the remote start that began it. If it was closed as Orphaned "
    "and opened again, the span of its last end links to the one of its first.",
)
MESSAGE_SPANS = span(
    "{action}",
    "One OCPP message: SERVER from a charge point, CLIENT for a command to one. In the proxy, a message that was "
    "answered has a CLIENT child: the way to the central system and back.",
)
AFTER_SPANS = span(
    "after {action}",
    "The `@after` handler of a message in an instrumented program: INTERNAL, child of the message's span.",
)
HTTP_SPANS = span(
    "{method} {endpoint}",
    "One HTTP request to the API; the command that it sends is its child. `{method}` if no route.",
)
ROUTE_SPANS = span(
    "route {action}",
    "A command on its way to the node that has the connection: CLIENT on the node that was asked, SERVER on the one "
    "that sends it.",
)
PHASE_SPANS = span("{phase}", "A phase of a session: preparing, charging, suspended by EV or EVSE, finishing.")

SESSION_BEGAN_SPAN = span(
    "session began", "Child of a remote start that links to the session it began; the session links to the command."
)
REBOOT_SPAN = span(
    "reboot", "Child of a Reset or firmware update that links to the BootNotification after it, which links back."
)

# Events beside messages: each is a span without duration and a log record with the same fields (`evidence`).
CONNECT_SPAN = span("connect", "A charge point connected.")
REPLACED_SPAN = span("connection replaced", "A charge point connected while its former connection was still open.")
DISCONNECT_SPAN = span("disconnect", "A connection of a charge point ended: why, and after how long.")
REFUSED_SPAN = span("handshake refused", "A handshake on the OCPP port was refused; `error.type` is the reason.")
LIMIT_SPAN = span("limit exceeded", "A connection was closed because its peer exceeded a limit.")
PROTOCOL_FAULT_SPAN = span("protocol fault", "A frame of a charge point broke the rules of OCPP-J.")
LOGIN_SPAN = span("login", "A person logged in with name and password.")
LOGIN_FAILED_SPAN = span("login failed", "A login was refused; `error.type` is `credentials`, `locked` or `busy`.")
LOCKOUT_SPAN = span("lockout", "Failed logins locked a name or a network.")
DECOMMISSION_SPAN = span("decommission", "A charge point was removed.")
CREDENTIALS_SPAN = span("credentials changed", "A secret, password, token or role was set or removed.")

# Log records without a span of their own; they have the ids of the message or request they belong to. The events above
# have a log record, too.
BOOT_EVENT = log_event("boot", "A charge point sent BootNotification.")
FAULT_EVENT = log_event("fault reported", "A charge point reported a fault: in its status, or by NotifyEvent (2.x).")
FIRMWARE_EVENT = log_event("firmware status", "A charge point reported how a firmware update proceeds.")
CLOCK_EVENT = log_event("clock off", "The timestamps of a charge point's statuses are over a minute off.")
TRANSACTION_EVENT = log_event("transaction started", "A transaction began. Its end has the name of the session's span.")
PROFILE_EVENT = log_event("charging profile set", "A charge point accepted a charging profile.")
COMMAND_FAILED_EVENT = log_event("command failed", "A command got a CALLERROR or no answer.")
COMMAND_REJECTED_EVENT = log_event("command rejected", "A command was answered with a status other than acceptance.")
AUTHORIZATION_EVENT = log_event("authorization refused", "An id token was not accepted.")
SCHEMA_FAULT_EVENT = log_event("schema fault", "A message violated its schema.")
SLOW_MESSAGE_EVENT = log_event("slow message", "A message took over a second from decoding to its answer.")
STORE_FAILED_EVENT = log_event("store failed", "The database refuses writes; answers are held and retried.")
STORE_SLOW_EVENT = log_event("slow commit", "A batch took over half a second to become durable.")
MAINTENANCE_EVENT = log_event("maintenance failed", "A periodic task failed and is tried again.")
PLUGIN_EVENT = log_event("plugin failed", "A plugin raised, timed out or gave an invalid answer, or was disabled.")
TELEMETRY_DROPPED_EVENT = log_event("telemetry dropped", "Telemetry was lost on its way to the Collector.")
REDIS_EVENT = log_event("redis lost", "A node does not reach Redis; messages between nodes are interrupted.")
REQUEST_FAILED_EVENT = log_event("request failed", "A request to the HTTP API failed in the server.")
START_EVENT = log_event("server started", "The central system serves.")
STOP_EVENT = log_event("server stopped", "The central system stopped in good order; a crash has no such line.")
CERTIFICATE_ENDS_EVENT = log_event("certificate ends", "A charge point connected with a certificate that ends soon.")
CERTIFICATE_EVENT = log_event("certificate not reloaded", "Changed certificate files of the OCPP port are invalid.")
REDIRECTION_EVENT = log_event("redirection", "A command passed the proxy that may lead a charge point past it.")
MIRROR_EVENT = log_event("mirror failed", "A mirror of the proxy can't be reached.")
FEED_EVENT = log_event("feed failed", "The Chargy feed could not be read.")

RPC_SYSTEM = attribute("rpc.system.name", "`ocpp`.")
RPC_METHOD = attribute("rpc.method", "OCPP action of a message; `_OTHER` if the OCPP version does not define it.")
RPC_STATUS = attribute("rpc.response.status_code", "Error code of the CALLERROR that answered a message.")
OCPP_MESSAGE_ID = attribute("ocpp.message.id", "Message id of a CALL, as it is on the wire.")
OCPP_REQUEST_SIZE = attribute("ocpp.request.size", "Bytes of a CALL, after decompression.")
OCPP_RESPONSE_SIZE = attribute("ocpp.response.size", "Bytes of the answer to a CALL, before compression.")
OCPP_ERROR_DESCRIPTION = attribute(
    "ocpp.error.description", "Error description of the CALLERROR that answered a message; also the span's status."
)
OCPP_ACTION = attribute("ocpp.action", "OCPP action of a message; `other` if the OCPP version does not define it.")
OCPP_TRANSACTION_ID = attribute("ocpp.transaction_id", "OCPP transaction the message or session belongs to.")
OCPP_STATUS = attribute("ocpp.status", "Status of a charge point's response to a command.")
OCPP_STORE_WAIT = attribute("ocpp.store_wait_s", "Seconds a response waited until its events were durable.")
OCPP_ENERGY = attribute("ocpp.energy_wh", "Energy of a session in Wh.")
OCPP_ENERGY_QUALITY = attribute(
    "ocpp.energy.quality",
    "Where the energy of a session comes from: `reported` if it is the difference of the charger's registers of start "
    "and stop, else the reason why it is not.",
)
SESSION_MESSAGES = attribute(
    "ocpp.session.messages",
    "Messages and commands about a session, whether their own spans are kept or not. Those that changed nothing "
    "stored are not counted if the server was killed right after them.",
)
OCPP_ID_TOKEN_HASH = attribute("ocpp.id_token_hash", "Keyed hash of the id token that started a session.")
OCPP_REASON = attribute("ocpp.reason", "Why a session ended: OCPP's reason, or Orphaned, which is ours.")
OCPP_CAUSE = attribute("ocpp.cause", "Command that caused a reboot or a session.")
COMMAND_TRACE = attribute("ocpp.command.trace_id", "Trace id of a command, on an event of a session.")
COMMAND_SPAN = attribute("ocpp.command.span_id", "Span id of a command, on an event of a session.")
OCPP_ERROR_CODE = attribute("ocpp.error_code", "errorCode of a StatusNotification, or the kind of a problem (2.x).")
FAULT_CODE = attribute("ocpp.fault.code", "CALLERROR code of a schema violation, on an event of a message.")
FAULT_PATH = attribute("ocpp.fault.path", "JSON pointer to the schema violation in the payload.")
FAULT_TEXT = attribute("ocpp.fault.text", "Description of the schema violation, without the value.")
NODE = attribute("wattspan.node", "Name of the node of a cluster that a command was sent to.")
HTTP_METHOD = attribute("http.request.method", "Method of an HTTP request; `_OTHER` if HTTP does not define it.")
HTTP_METHOD_ORIGINAL = attribute("http.request.method_original", "Method as it was sent, if it is `_OTHER`.")
HTTP_ROUTE = attribute(
    "http.route", "Template of the route; absent without one. Never the path, which may contain an id tag."
)
HTTP_STATUS = attribute("http.response.status_code", "HTTP status code of the response; absent if none was sent.")
HTTP_VERSION = attribute("network.protocol.version", "Version of HTTP.")
URL_SCHEME = attribute("url.scheme", "`http` or `https`.")
CLIENT_ADDRESS = attribute("client.address", "Address of the client of the API, as trusted proxies report it.")
USER_AGENT = attribute("user_agent.original", "User-Agent header of an HTTP request.")
SERVICE_VERSION = attribute("service.version", "Version of Wattspan; a field of the log record of a start.")
CLIENT_NOT_AFTER = attribute("tls.client.not_after", "When a client certificate ends; a field of log records.")
OCPP_FIRMWARE = attribute("ocpp.firmware", "Firmware version, from the boot notification.")
VENDOR_ERROR_CODE = attribute("ocpp.vendor_error_code", "vendorErrorCode of a StatusNotification.")
ERROR_INFO = attribute("ocpp.error_info", "What a charge point added to a fault as text.")
CLOCK_OFFSET = attribute("ocpp.clock_offset_s", "Seconds that a charge point's clock is ahead of ours.")
PROFILE_PURPOSE = attribute("ocpp.charging_profile.purpose", "Purpose of a charging profile.")
PROFILE_LIMIT = attribute("ocpp.charging_profile.limit", "Limit of the first period of a charging profile.")
PROFILE_UNIT = attribute("ocpp.charging_profile.unit", "Unit of that limit, A or W.")
HANDLING_TIME = attribute("ocpp.handling_s", "Seconds from decoding a message to sending its answer.")
COMMIT_TIME = attribute("wattspan.commit_s", "Seconds until a batch was durable.")
EXCEPTION_MESSAGE = attribute("exception.message", "What went wrong, as text; on log records only.")
CLOSE_CODE = attribute("ws.close_code", "WebSocket close code of a disconnect.")
CLOSE_REASON = attribute("ws.close_reason", "Reason in the WebSocket's close frame.")
EVENT_NAME = attribute("event.name", "Name of the span that a log record belongs to; on log records only.")
OCPP_VERSION = attribute("ocpp.version", "OCPP version of the connection: 1.6, 2.0.1 or 2.1.")
PEER_ADDRESS = attribute("network.peer.address", "Address of the peer: the charge point, or the client of the API.")
PEER_PORT = attribute("network.peer.port", "Port of the peer.")
SERVER_ADDRESS = attribute("server.address", "Our address of the connection; of an HTTP request, the host it names.")
SERVER_PORT = attribute("server.port", "Our port of the connection; of an HTTP request, the port it names.")
REPLACED_ADDRESS = attribute("ocpp.connection.replaced_address", "Address of the peer whose connection was replaced.")
CONNECTION_REPLACED = attribute("ocpp.connection.replaced", "Whether a newer connection took over before the end.")
CONNECTION_DURATION = attribute("ocpp.connection.duration_s", "Seconds a connection was open.")
LAST_MESSAGE = attribute("ocpp.last_message", "Action of the last request that the charge point sent on a connection.")
USER_NAME = attribute("user.name", "Name of a user of the API; of a failed login, the name that was tried.")
CREDENTIAL_KIND = attribute("wattspan.credential", "What was changed: secret, password, token, role or user.")
FAILURE = attribute("error.type", "Why a message or command failed: a CALLERROR code, Timeout, ConnectionLost, …")
FORCE_SAMPLE = attribute(
    "csms.force_sample",
    "True on spans that a tail sampler must keep: sessions and their phases, and messages that an exemplar points to.",
)
