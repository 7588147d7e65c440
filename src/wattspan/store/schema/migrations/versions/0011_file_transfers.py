"""The progress of firmware updates and log uploads, and the certificates that charge points have installed."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and an index for the security events of one charge point."""
    op.create_table(
        "file_transfers",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("cp_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("request_id", sa.BigInteger),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("is_request", sa.Boolean, nullable=False),
        sa.Column("received_ts", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_file_transfers")),
    )
    op.create_index("ix_file_transfers_cp_id", "file_transfers", ["cp_id"])
    op.create_table(
        "installed_certificates",
        sa.Column("cp_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("certificates", sa.Text, nullable=False),
        sa.Column("reported_ts", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("cp_id", "type", name=op.f("pk_installed_certificates")),
    )
    op.create_index("ix_security_events_cp_id", "security_events", ["cp_id"])
