"""The device model of 2.x chargers: variables, what they may be, what is watched, and 2.1's event streams."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

VARIABLE = ("component", "variable", "component_instance", "variable_instance", "evse_id", "connector_id")


def _variable() -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in VARIABLE]


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "device_attributes",
        sa.Column("cp_id", sa.Text, nullable=False),
        *_variable(),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("value", sa.Text),
        sa.Column("mutability", sa.Text),
        sa.Column("persistent", sa.Boolean),
        sa.Column("constant", sa.Boolean),
        sa.Column("told_ts", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("cp_id", *VARIABLE, "type", name=op.f("pk_device_attributes")),
    )
    op.create_table(
        "device_characteristics",
        sa.Column("cp_id", sa.Text, nullable=False),
        *_variable(),
        sa.Column("data_type", sa.Text, nullable=False),
        sa.Column("unit", sa.Text),
        sa.Column("min_limit", sa.Double),
        sa.Column("max_limit", sa.Double),
        sa.Column("max_elements", sa.BigInteger),
        sa.Column("values_list", sa.Text),
        sa.Column("supports_monitoring", sa.Boolean),
        sa.PrimaryKeyConstraint("cp_id", *VARIABLE, name=op.f("pk_device_characteristics")),
    )
    op.create_table(
        "device_monitors",
        sa.Column("cp_id", sa.Text, nullable=False),
        sa.Column("monitor_id", sa.BigInteger, autoincrement=False, nullable=False),
        *_variable(),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("severity", sa.BigInteger),
        sa.Column("transaction", sa.Boolean),
        sa.Column("kind", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cp_id", "monitor_id", name=op.f("pk_device_monitors")),
    )
    op.create_table(
        "event_streams",
        sa.Column("cp_id", sa.Text, nullable=False),
        sa.Column("stream_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("monitor_id", sa.BigInteger),
        sa.Column("interval_s", sa.BigInteger),
        sa.Column("values", sa.BigInteger),
        sa.Column("opened_ts", sa.Double),
        sa.Column("value", sa.Text),
        sa.Column("told_ts", sa.Double),
        sa.Column("told", sa.BigInteger, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("cp_id", "stream_id", name=op.f("pk_event_streams")),
    )
