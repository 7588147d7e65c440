"""The tables, as the newest migration leaves them. Their meaning is in `domain`.

Times are Unix seconds as floats. JSON is text. A transaction's `number` is ours, its `transaction_id` OCPP's.
`readings_through` is the newest meter reading that a row's figures include: after a crash only later ones are replayed.
"""

import sqlalchemy as sa

from wattspan.store.schema import history_tables, job_tables, message_tables, site_tables
from wattspan.store.schema.base import Number, Seconds
from wattspan.store.schema.base import metadata as metadata  # noqa: PLC0414  re-exported

series, state_changes = history_tables.series, history_tables.state_changes
planned_outages = history_tables.planned_outages
sites, charge_point_places = site_tables.sites, site_tables.charge_point_places
saved_views = site_tables.saved_views
message_blocks = message_tables.message_blocks
jobs, job_targets = job_tables.jobs, job_tables.job_targets

charge_points = sa.Table(
    "charge_points",
    metadata,
    sa.Column("cp_id", sa.Text, primary_key=True),
    sa.Column("known_since_ts", Seconds, nullable=False),
    sa.Column("protocol", sa.Text, nullable=False, server_default=""),
    sa.Column("vendor", sa.Text, nullable=False, server_default=""),
    sa.Column("model", sa.Text, nullable=False, server_default=""),
    sa.Column("serial_number", sa.Text, nullable=False, server_default=""),
    sa.Column("firmware", sa.Text, nullable=False, server_default=""),
    sa.Column("firmware_status", sa.Text, nullable=False, server_default=""),
    sa.Column("log_status", sa.Text, nullable=False, server_default=""),
    sa.Column("last_msg_ts", Seconds),
    sa.Column("last_heartbeat_ts", Seconds),
    sa.Column("last_tx_ts", Seconds),
    sa.Column("status", sa.Text),
    sa.Column("boots", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("disconnects", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("reconnects_during_tx", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("tx_total", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("energy_total_wh", sa.Double, nullable=False, server_default="0"),
    sa.Column("energy_overbooked_wh", sa.Double, nullable=False, server_default="0"),
    sa.Column("energy_jumps", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("certificate_expires_ts", Seconds),
    sa.Column("counters", sa.Text, nullable=False, server_default="{}"),
    # Whether it was connected when its owner wrote the row last. Of use in a cluster only: see store.takeover.
    sa.Column("connected", sa.Boolean, nullable=False, server_default=sa.false()),
    # The node of a cluster that owns it, and how often that changed. Written by store.takeover only.
    sa.Column("owner", sa.Text),
    sa.Column("owner_epoch", sa.BigInteger, nullable=False, server_default="0"),
    # Written by administration only, never by the journal.
    sa.Column("registered_ts", Seconds),
    sa.Column("secret", sa.Text),
    # A second secret, valid until `other_until_ts`, or if that is null until it is known which one the charger has.
    sa.Column("other_secret", sa.Text),
    sa.Column("other_until_ts", Seconds),
    sa.Column("security_profile", sa.Integer),
    # Secrets sent by a command, until it is known whether the charger has them: see store.records.PendingSecret.
    sa.Column("pending_secrets", sa.Text, nullable=False, server_default="[]"),
    sa.Column("pending_profile", sa.Integer),
    sa.Column("profile_lowered", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("registered_serial", sa.Text, nullable=False, server_default=""),
    sa.Column("unknown_id_tags", sa.Text, nullable=False, server_default=""),
    sa.Column("removed_ts", Seconds),
    sa.Column("name", sa.Text, nullable=False, server_default=""),
    sa.Column("location", sa.Text, nullable=False, server_default=""),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Index("ix_charge_points_owner", "owner"),
)
for _name, _expression, _where in (
    ("lower", sa.func.lower(charge_points.c.cp_id), charge_points.c.registered_ts),
    ("registered", charge_points.c.registered_ts, charge_points.c.registered_ts),
    ("removed", charge_points.c.cp_id, charge_points.c.removed_ts),
):
    sa.Index(
        f"ix_charge_points_{_name}",
        _expression,
        sqlite_where=_where.is_not(None),
        postgresql_where=_where.is_not(None),
    )
sa.Index(
    "ix_charge_points_registered_serial",
    charge_points.c.registered_serial,
    sqlite_where=charge_points.c.registered_serial != "",
    postgresql_where=charge_points.c.registered_serial != "",
)
# Lists over all nodes are merged in the order of bytes, which is how Python compares.
sa.Index("ix_charge_points_bytes", sa.collate(charge_points.c.cp_id, "C")).ddl_if(dialect="postgresql")

connectors = sa.Table(
    "connectors",
    metadata,
    sa.Column("cp_id", sa.Text, primary_key=True),
    sa.Column("connector_id", sa.Text, primary_key=True),
    sa.Column("status", sa.Text),
    sa.Column("error_code", sa.Text, nullable=False),
    sa.Column("status_ts", Seconds),
    sa.Column("fault_ts", Seconds),
    sa.Column("had_transaction", sa.Boolean, nullable=False),
    sa.Column("transaction_number", Number),
    sa.Column("current_a", sa.Double),
    sa.Column("power_w", sa.Double),
    sa.Column("offered_a", sa.Double),
    sa.Column("soc_percent", sa.Double),
    sa.Column("reading_ts", Seconds),
    sa.Column("profiles", sa.Text, nullable=False),
    sa.Column("last_meter_values", sa.String(32), nullable=False),
    sa.Column("outlets", sa.Text, nullable=False, server_default="{}"),
    sa.Column("readings_through", Number, nullable=False),
)

transactions = sa.Table(
    "transactions",
    metadata,
    sa.Column("number", Number, primary_key=True, autoincrement=False),
    sa.Column("cp_id", sa.Text, nullable=False),
    sa.Column("connector_id", sa.Text, nullable=False),
    sa.Column("transaction_id", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("id_token", sa.Text, nullable=False),
    sa.Column("start_wh", sa.Double, nullable=False),
    sa.Column("energy_wh", sa.Double, nullable=False),
    sa.Column("register_wh", sa.Double),
    sa.Column("last_reading_ts", Seconds),
    sa.Column("started_ts", Seconds),
    sa.Column("started_received_ts", Seconds, nullable=False),
    sa.Column("reservation_id", sa.BigInteger),
    sa.Column("stopped_ts", Seconds),
    sa.Column("stopped_received_ts", Seconds),
    sa.Column("meter_stop_wh", sa.Double),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("story", sa.Text, nullable=False),
    sa.Column("trace_id", sa.String(32), nullable=False),
    sa.Column("span_id", sa.String(16), nullable=False),
    sa.Column("start_told", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("id_token_type", sa.Text, nullable=False, server_default=""),
    sa.Column("charging_state", sa.Text, nullable=False, server_default=""),
    sa.Column("remote_start_id", sa.BigInteger),
    sa.Column("phases_used", sa.BigInteger),
    sa.Column("cable_max_a", sa.Double),
    sa.Column("told_ts", Seconds),
    sa.Column("seq_nos", sa.Text, nullable=False, server_default=""),
    sa.Column("booked_wh", sa.Double, nullable=False, server_default="0"),
    sa.Column("first_span_id", sa.String(16), nullable=False, server_default=""),
    # Branches of readings, of an open transaction (domain.energy); "": a row of a release before this column.
    sa.Column("meter_state", sa.Text, nullable=False, server_default=""),
    sa.Column("energy_correction", sa.Text, nullable=False, server_default=""),
    sa.Column("messages", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("sampled", sa.Boolean),
    sa.Column("readings_from", Number, nullable=False),
    sa.Column("readings_through", Number, nullable=False),
    sa.UniqueConstraint("cp_id", "key"),
    sa.Index("ix_transactions_cp_id_transaction_id", "cp_id", "transaction_id"),
)
sa.Index(
    "ix_transactions_open",
    transactions.c.number,
    sqlite_where=transactions.c.stopped_received_ts.is_(None),
    postgresql_where=transactions.c.stopped_received_ts.is_(None),
)
# For lists of the charge points of all nodes; a server that is alone has them in memory.
sa.Index(
    "ix_transactions_open_cp_id", transactions.c.cp_id, postgresql_where=transactions.c.stopped_received_ts.is_(None)
).ddl_if(dialect="postgresql")

# The largest table by far, on PostgreSQL with a partition for each month (`store.partitions`). It has no index but the
# row id: an index by transaction would dirty a page for each charge point of a batch, which tripled the cost of a row
# when measured.
meter_readings = sa.Table(
    "meter_readings",
    metadata,
    sa.Column("id", Number, primary_key=True),
    sa.Column("cp_id", sa.Text, nullable=False),
    sa.Column("connector_id", sa.Text, nullable=False),
    sa.Column("transaction_number", Number),
    sa.Column("charger_ts", Seconds),
    sa.Column("received_ts", Seconds, nullable=False),
    sa.Column("energy_wh", sa.Double),
    sa.Column("register_wh", sa.Double),
    sa.Column("current_a", sa.Double),
    sa.Column("power_w", sa.Double),
    sa.Column("soc_percent", sa.Double),
    sa.Column("offered_a", sa.Double),
    sa.Column("is_history", sa.Boolean, nullable=False),
    sa.Column("seq_no", Number),
    sa.Column("shape", Number),
    sa.Column("samples", sa.Text, nullable=False),
)

# The part of a charger's samples that is the same in every message: everything but the values.
sample_shapes = sa.Table(
    "sample_shapes",
    metadata,
    sa.Column("id", Number, primary_key=True, autoincrement=False),
    sa.Column("template", sa.Text, nullable=False),
)

id_tags = sa.Table(
    "id_tags",
    metadata,
    sa.Column(
        "id_key", sa.Text, primary_key=True
    ),  # case-folded: id tokens are the same in either case (OCPP 1.6 §7.28)
    sa.Column("id_token", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("expiry_ts", Seconds),
    sa.Column("parent", sa.Text),
    sa.Column("max_active_transactions", sa.Integer),
    sa.Column("type", sa.Text, nullable=False, server_default=""),
    sa.Column("evse_ids", sa.Text, nullable=False, server_default="[]"),
    sa.Column("tag_group", sa.Text, nullable=False, server_default=""),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    # Where a session was last started with it. Not part of what an operator sets.
    sa.Column("last_used_ts", Seconds),
    sa.Column("last_used_cp_id", sa.Text),
)

# Charge points that an operator rejected while they waited for approval.
rejected_charge_points = sa.Table(
    "rejected_charge_points",
    metadata,
    sa.Column("cp_id", sa.Text, primary_key=True),
    sa.Column("rejected_ts", Seconds, nullable=False),
)

issued_certificates = sa.Table(
    "issued_certificates",
    metadata,
    sa.Column("serial", sa.Text, primary_key=True),
    sa.Column("cp_id", sa.Text, nullable=False),
    sa.Column("issued_ts", Seconds, nullable=False),
    sa.Column("expires_ts", Seconds, nullable=False),
    sa.Column("installed_ts", Seconds),
    sa.Index("ix_issued_certificates_cp_id", "cp_id"),
)

# The newest signing request of a charge point for each type of certificate, and the delivery of its certificate.
signing_requests = sa.Table(
    "signing_requests",
    metadata,
    sa.Column("cp_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("requested_ts", Seconds, nullable=False),
    sa.Column("next_try_ts", Seconds),
    sa.Column("serial", sa.Text, nullable=False),
    sa.Column("expires_ts", Seconds),
    sa.Column("chain", sa.Text, nullable=False),
    sa.Column("echo", sa.Text, nullable=False),
)

reservations = sa.Table(
    "reservations",
    metadata,
    sa.Column("cp_id", sa.Text, primary_key=True),
    sa.Column("reservation_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("connector_id", sa.Text, nullable=False),
    sa.Column("id_token", sa.Text, nullable=False),
    sa.Column("parent_id_token", sa.Text),
    sa.Column("made_ts", Seconds, nullable=False),
    sa.Column("expires_ts", Seconds),
    sa.Column("cancelled_ts", Seconds),
)

security_events = sa.Table(
    "security_events",
    metadata,
    sa.Column("id", Number, primary_key=True),
    sa.Column("cp_id", sa.Text, nullable=False),
    sa.Column("received_ts", Seconds, nullable=False),
    sa.Column("charger_ts", Seconds),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("tech_info", sa.Text, nullable=False),
    sa.Index("ix_security_events_cp_id", "cp_id"),
)

# Requests of firmware updates and log uploads, and every status that the charge point reported of them. `status` is the
# answer's where `is_request`. The newest of each charge point are kept.
file_transfers = sa.Table(
    "file_transfers",
    metadata,
    sa.Column("id", Number, primary_key=True),
    sa.Column("cp_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("request_id", sa.BigInteger),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("is_request", sa.Boolean, nullable=False),
    sa.Column("received_ts", Seconds, nullable=False),
    sa.Index("ix_file_transfers_cp_id", "cp_id"),
)

# What GetInstalledCertificateIds last returned, by type; `certificates` is a JSON list, empty if there were none.
installed_certificates = sa.Table(
    "installed_certificates",
    metadata,
    sa.Column("cp_id", sa.Text, primary_key=True),
    sa.Column("type", sa.Text, primary_key=True),
    sa.Column("certificates", sa.Text, nullable=False),
    sa.Column("reported_ts", Seconds, nullable=False),
)

# Device models that 2.x chargers report. "": the instance, EVSE or connector was not named.
VARIABLE_COLUMNS = ("component", "variable", "component_instance", "variable_instance", "evse_id", "connector_id")
"""In the order of `domain.device_model.Variable`."""


def _variable_columns(*, primary_key: bool) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=primary_key, nullable=False) for name in VARIABLE_COLUMNS]


device_attributes = sa.Table(
    "device_attributes",
    metadata,
    sa.Column("cp_id", sa.Text, primary_key=True),
    *_variable_columns(primary_key=True),
    sa.Column("type", sa.Text, primary_key=True),
    sa.Column("value", sa.Text),
    sa.Column("mutability", sa.Text),
    sa.Column("persistent", sa.Boolean),
    sa.Column("constant", sa.Boolean),
    sa.Column("told_ts", Seconds, nullable=False),
)

device_characteristics = sa.Table(
    "device_characteristics",
    metadata,
    sa.Column("cp_id", sa.Text, primary_key=True),
    *_variable_columns(primary_key=True),
    sa.Column("data_type", sa.Text, nullable=False),
    sa.Column("unit", sa.Text),
    sa.Column("min_limit", sa.Double),
    sa.Column("max_limit", sa.Double),
    sa.Column("max_elements", sa.BigInteger),
    sa.Column("values_list", sa.Text),
    sa.Column("supports_monitoring", sa.Boolean),
)

device_monitors = sa.Table(
    "device_monitors",
    metadata,
    sa.Column("cp_id", sa.Text, primary_key=True),
    sa.Column("monitor_id", sa.BigInteger, primary_key=True, autoincrement=False),
    *_variable_columns(primary_key=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("severity", sa.BigInteger),
    sa.Column("transaction", sa.Boolean),
    sa.Column("kind", sa.Text, nullable=False),
)

# 2.1's periodic event streams: which monitor each one carries, and the newest of its values.
event_streams = sa.Table(
    "event_streams",
    metadata,
    sa.Column("cp_id", sa.Text, primary_key=True),
    sa.Column("stream_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("monitor_id", sa.BigInteger),
    sa.Column("interval_s", sa.BigInteger),
    sa.Column("values", sa.BigInteger),
    sa.Column("opened_ts", Seconds),
    sa.Column("value", sa.Text),
    sa.Column("told_ts", Seconds),
    sa.Column("told", sa.BigInteger, nullable=False, server_default="0"),
)

# Original content of rows that the database rejected (invalid Unicode, numbers beyond 64 bits), for inspection.
unwritable = sa.Table(
    "unwritable",
    metadata,
    sa.Column("id", Number, primary_key=True),
    sa.Column("noted_ts", Seconds, nullable=False),
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("row", sa.Text, nullable=False),
    sa.Column("fault", sa.Text, nullable=False),
    sa.Column("mended", sa.Boolean, nullable=False),
)

# Numbers that must survive the deletion of rows: the highest assigned ids, and up to which reading rows are current.
marks = sa.Table(
    "marks",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", Number, nullable=False),
)

# The nodes of a cluster. Times are by PostgreSQL's clock. `stopped`: it ended by itself, so that others may adopt its
# charge points at once.
nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("instance", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("started_ts", Seconds, nullable=False),
    sa.Column("heartbeat_ts", Seconds, nullable=False),
    sa.Column("stopped", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("metrics_url", sa.Text, nullable=False, server_default=""),
    sa.Column("api_url", sa.Text, nullable=False, server_default=""),
)

# Users of the API. Secrets are stored as digests only; a key is the case-folded name.
users = sa.Table(
    "users",
    metadata,
    sa.Column("user_key", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("password", sa.Text, nullable=False),
    sa.Column("created_ts", Seconds, nullable=False),
    sa.Column("last_login_ts", Seconds),
    sa.Column("disabled", sa.Boolean, nullable=False),
)

login_sessions = sa.Table(
    "login_sessions",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("user_key", sa.Text, nullable=False),
    sa.Column("created_ts", Seconds, nullable=False),
    sa.Column("expires_ts", Seconds, nullable=False),
)

api_tokens = sa.Table(
    "api_tokens",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("token_id", sa.Text, nullable=False),
    sa.Column("user_key", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("created_ts", Seconds, nullable=False),
    sa.Column("expires_ts", Seconds),
    sa.UniqueConstraint("token_id"),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", Number, primary_key=True),
    sa.Column("at_ts", Seconds, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("by_means_of", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("trace_id", sa.String(32), nullable=False),
)

stored_files = sa.Table(
    "stored_files",
    metadata,
    sa.Column("file_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("cp_id", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("created_ts", Seconds, nullable=False),
)
