"""Which node of a cluster owns a charge point, and the nodes with their heartbeats."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the owner and its epoch; no charge point is owned until a node takes it."""
    op.add_column("charge_points", sa.Column("connected", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("charge_points", sa.Column("owner", sa.Text))
    op.add_column("charge_points", sa.Column("owner_epoch", sa.BigInteger, nullable=False, server_default="0"))
    op.create_index("ix_charge_points_owner", "charge_points", ["owner"])
    op.create_table(
        "nodes",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("instance", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("started_ts", sa.Double, nullable=False),
        sa.Column("heartbeat_ts", sa.Double, nullable=False),
        sa.Column("stopped", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("metrics_url", sa.Text, nullable=False, server_default=""),
        sa.Column("api_url", sa.Text, nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_nodes")),
    )
