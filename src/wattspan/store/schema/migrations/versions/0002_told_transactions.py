"""What OCPP 2.x tells: transactions numbered by the charger, the connectors of an EVSE, types of id tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COLUMNS = {
    "transactions": (
        sa.Column("start_told", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("id_token_type", sa.Text, nullable=False, server_default=""),
        sa.Column("charging_state", sa.Text, nullable=False, server_default=""),
        sa.Column("remote_start_id", sa.BigInteger),
        sa.Column("phases_used", sa.BigInteger),
        sa.Column("cable_max_a", sa.Double),
        sa.Column("told_ts", sa.Double),
        sa.Column("seq_nos", sa.Text, nullable=False, server_default=""),
    ),
    "connectors": (sa.Column("outlets", sa.Text, nullable=False, server_default="{}"),),
    "meter_readings": (sa.Column("seq_no", sa.BigInteger().with_variant(sa.Integer, "sqlite")),),
    "id_tags": (
        sa.Column("type", sa.Text, nullable=False, server_default=""),
        sa.Column("evse_ids", sa.Text, nullable=False, server_default="[]"),
    ),
}


def upgrade() -> None:
    """Add the columns; what is there was told by 1.6."""
    for table, columns in _COLUMNS.items():
        for column in columns:
            op.add_column(table, column)


def downgrade() -> None:
    """Take them away."""
    for table, columns in _COLUMNS.items():
        for column in columns:
            op.drop_column(table, column.name)
