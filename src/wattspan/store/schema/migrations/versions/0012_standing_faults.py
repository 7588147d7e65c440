"""When the fault of a connector was counted, so that it counts once however often it is reported."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; a fault that stands now was counted, without a time."""
    op.add_column("connectors", sa.Column("fault_ts", sa.Double))
    op.execute("UPDATE connectors SET fault_ts = 0 WHERE error_code <> 'NoError'")
