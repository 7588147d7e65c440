"""The state of a transaction's meter, and why its energy is not what the charger's start and stop say."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    for name in ("meter_state", "energy_correction"):
        op.add_column("transactions", sa.Column(name, sa.Text, server_default="", nullable=False))
