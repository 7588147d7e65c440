"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make them."""
    _fleet()
    _sessions()
    _books()
    _upkeep()


def _fleet() -> None:
    op.create_table(
        "charge_points",
        sa.Column("cp_id", sa.Text, nullable=False),
        sa.Column("known_since_ts", sa.Double, nullable=False),
        sa.Column("protocol", sa.Text, server_default="", nullable=False),
        sa.Column("vendor", sa.Text, server_default="", nullable=False),
        sa.Column("model", sa.Text, server_default="", nullable=False),
        sa.Column("serial_number", sa.Text, server_default="", nullable=False),
        sa.Column("firmware", sa.Text, server_default="", nullable=False),
        sa.Column("firmware_status", sa.Text, server_default="", nullable=False),
        sa.Column("log_status", sa.Text, server_default="", nullable=False),
        sa.Column("last_msg_ts", sa.Double),
        sa.Column("last_heartbeat_ts", sa.Double),
        sa.Column("last_tx_ts", sa.Double),
        sa.Column("status", sa.Text),
        sa.Column("boots", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("disconnects", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("reconnects_during_tx", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("tx_total", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("energy_total_wh", sa.Double, server_default="0", nullable=False),
        sa.Column("energy_jumps", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("counters", sa.Text, server_default="{}", nullable=False),
        sa.Column("registered_ts", sa.Double),
        sa.Column("secret", sa.Text),
        sa.Column("removed_ts", sa.Double),
        sa.PrimaryKeyConstraint("cp_id", name=op.f("pk_charge_points")),
    )
    op.create_table(
        "connectors",
        sa.Column("cp_id", sa.Text, nullable=False),
        sa.Column("connector_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text),
        sa.Column("error_code", sa.Text, nullable=False),
        sa.Column("status_ts", sa.Double),
        sa.Column("had_transaction", sa.Boolean, nullable=False),
        sa.Column("transaction_number", NUMBER),
        sa.Column("current_a", sa.Double),
        sa.Column("power_w", sa.Double),
        sa.Column("offered_a", sa.Double),
        sa.Column("soc_percent", sa.Double),
        sa.Column("reading_ts", sa.Double),
        sa.Column("profiles", sa.Text, nullable=False),
        sa.Column("last_meter_values", sa.String(32), nullable=False),
        sa.Column("readings_through", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("cp_id", "connector_id", name=op.f("pk_connectors")),
    )


def _sessions() -> None:
    op.create_table(
        "transactions",
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("cp_id", sa.Text, nullable=False),
        sa.Column("connector_id", sa.Text, nullable=False),
        sa.Column("transaction_id", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("id_token", sa.Text, nullable=False),
        sa.Column("start_wh", sa.Double, nullable=False),
        sa.Column("energy_wh", sa.Double, nullable=False),
        sa.Column("register_wh", sa.Double),
        sa.Column("last_reading_ts", sa.Double),
        sa.Column("started_ts", sa.Double),
        sa.Column("started_received_ts", sa.Double, nullable=False),
        sa.Column("reservation_id", sa.BigInteger),
        sa.Column("stopped_ts", sa.Double),
        sa.Column("stopped_received_ts", sa.Double),
        sa.Column("meter_stop_wh", sa.Double),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("story", sa.Text, nullable=False),
        sa.Column("trace_id", sa.String(length=32), nullable=False),
        sa.Column("span_id", sa.String(length=16), nullable=False),
        sa.Column("readings_from", NUMBER, nullable=False),
        sa.Column("readings_through", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_transactions")),
        sa.UniqueConstraint("cp_id", "key", name=op.f("uq_transactions_cp_id_key")),
    )
    op.create_index("ix_transactions_cp_id_transaction_id", "transactions", ["cp_id", "transaction_id"], unique=False)
    op.create_index(
        "ix_transactions_open",
        "transactions",
        ["number"],
        unique=False,
        sqlite_where=sa.text("stopped_received_ts IS NULL"),
        postgresql_where=sa.text("stopped_received_ts IS NULL"),
    )
    op.create_table(
        "meter_readings",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("cp_id", sa.Text, nullable=False),
        sa.Column("connector_id", sa.Text, nullable=False),
        sa.Column("transaction_number", NUMBER),
        sa.Column("charger_ts", sa.Double),
        sa.Column("received_ts", sa.Double, nullable=False),
        sa.Column("energy_wh", sa.Double),
        sa.Column("register_wh", sa.Double),
        sa.Column("current_a", sa.Double),
        sa.Column("power_w", sa.Double),
        sa.Column("soc_percent", sa.Double),
        sa.Column("offered_a", sa.Double),
        sa.Column("is_history", sa.Boolean, nullable=False),
        sa.Column("shape", NUMBER),
        sa.Column("samples", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meter_readings")),
    )
    op.create_table(
        "sample_shapes",
        sa.Column("id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sample_shapes")),
    )


def _books() -> None:
    op.create_table(
        "id_tags",
        sa.Column("id_key", sa.Text, nullable=False),
        sa.Column("id_token", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("expiry_ts", sa.Double),
        sa.Column("parent", sa.Text),
        sa.Column("max_active_transactions", sa.Integer),
        sa.PrimaryKeyConstraint("id_key", name=op.f("pk_id_tags")),
    )
    op.create_table(
        "reservations",
        sa.Column("cp_id", sa.Text, nullable=False),
        sa.Column("reservation_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("connector_id", sa.Text, nullable=False),
        sa.Column("id_token", sa.Text, nullable=False),
        sa.Column("parent_id_token", sa.Text),
        sa.Column("made_ts", sa.Double, nullable=False),
        sa.Column("expires_ts", sa.Double),
        sa.Column("cancelled_ts", sa.Double),
        sa.PrimaryKeyConstraint("cp_id", "reservation_id", name=op.f("pk_reservations")),
    )
    op.create_table(
        "security_events",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("cp_id", sa.Text, nullable=False),
        sa.Column("received_ts", sa.Double, nullable=False),
        sa.Column("charger_ts", sa.Double),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("tech_info", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_events")),
    )


def _upkeep() -> None:
    op.create_table(
        "unwritable",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("noted_ts", sa.Double, nullable=False),
        sa.Column("table_name", sa.Text, nullable=False),
        sa.Column("row", sa.Text, nullable=False),
        sa.Column("fault", sa.Text, nullable=False),
        sa.Column("mended", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unwritable")),
    )
    op.create_table(
        "marks",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_marks")),
    )
