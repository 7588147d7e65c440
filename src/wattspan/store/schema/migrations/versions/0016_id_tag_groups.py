"""Groups of id tags, notes on them, and where each was last used."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("id_tags", sa.Column("tag_group", sa.Text, nullable=False, server_default=""))
    op.add_column("id_tags", sa.Column("note", sa.Text, nullable=False, server_default=""))
    op.add_column("id_tags", sa.Column("last_used_ts", sa.Double))
    op.add_column("id_tags", sa.Column("last_used_cp_id", sa.Text))
