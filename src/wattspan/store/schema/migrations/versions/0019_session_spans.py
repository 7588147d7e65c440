"""What the span of a session needs after a restart: the number of its messages, whether it is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("transactions", sa.Column("messages", sa.BigInteger, server_default="0", nullable=False))
    op.add_column("transactions", sa.Column("sampled", sa.Boolean))
