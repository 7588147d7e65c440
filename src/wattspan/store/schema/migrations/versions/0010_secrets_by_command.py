"""Secrets and profiles that commands set, registered serial numbers, and the delivery of signed certificates."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table."""
    for column in (
        sa.Column("pending_secrets", sa.Text, server_default="[]", nullable=False),
        sa.Column("pending_profile", sa.Integer),
        sa.Column("profile_lowered", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("registered_serial", sa.Text, server_default="", nullable=False),
    ):
        op.add_column("charge_points", column)
    has_serial = sa.text("registered_serial != ''")
    op.create_index(
        "ix_charge_points_registered_serial",
        "charge_points",
        ["registered_serial"],
        sqlite_where=has_serial,
        postgresql_where=has_serial,
    )
    op.create_table(
        "signing_requests",
        sa.Column("cp_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("requested_ts", sa.Double, nullable=False),
        sa.Column("next_try_ts", sa.Double),
        sa.Column("serial", sa.Text, nullable=False),
        sa.Column("expires_ts", sa.Double),
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("echo", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cp_id", "kind", name=op.f("pk_signing_requests")),
    )
