"""What is asked of the charge points with each handshake of a stranger, and every two seconds."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    for name, expression, where in (
        ("ix_charge_points_lower", "lower(cp_id)", "registered_ts IS NOT NULL"),
        ("ix_charge_points_registered", "registered_ts", "registered_ts IS NOT NULL"),
        ("ix_charge_points_removed", "cp_id", "removed_ts IS NOT NULL"),
    ):
        only = sa.text(where)
        op.create_index(name, "charge_points", [sa.text(expression)], sqlite_where=only, postgresql_where=only)
