"""Transactions that are open again after we closed them: what was booked at their first end, and that end's span."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("transactions", sa.Column("booked_wh", sa.Double, server_default="0", nullable=False))
    op.add_column("transactions", sa.Column("first_span_id", sa.String(16), server_default="", nullable=False))
