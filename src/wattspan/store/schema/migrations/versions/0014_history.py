"""The history: sampled series, changes of state, planned outages."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "series",
        sa.Column("cp_id", sa.Text, primary_key=True),
        sa.Column("step_s", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("start_ts", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("whole", sa.LargeBinary, nullable=False),
        sa.Column("connectors", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_series_step_s_start_ts", "series", ["step_s", "start_ts"])
    op.create_table(
        "state_changes",
        sa.Column("cp_id", sa.Text, primary_key=True),
        sa.Column("at_ts", sa.Double, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("connector_id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("is_edge", sa.Boolean, nullable=False),
    )
    op.create_index("ix_state_changes_at_ts", "state_changes", ["at_ts"])
    op.create_table(
        "planned_outages",
        sa.Column("id", Number, primary_key=True),
        sa.Column("cp_id", sa.Text, nullable=False),
        sa.Column("connector_id", sa.Text, nullable=False),
        sa.Column("from_ts", sa.Double, nullable=False),
        sa.Column("until_ts", sa.Double, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
    )
    op.create_index("ix_planned_outages_cp_id", "planned_outages", ["cp_id"])
