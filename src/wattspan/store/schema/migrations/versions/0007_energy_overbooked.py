"""Energy that was booked too much for a charge point, set off against its later bookings."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("charge_points", sa.Column("energy_overbooked_wh", sa.Double, server_default="0", nullable=False))
