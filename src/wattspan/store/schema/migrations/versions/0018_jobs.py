"""Jobs: commands to many charge points."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("rate_per_s", sa.Double, nullable=False),
        sa.Column("timeout_s", sa.Double),
        sa.Column("outcome_s", sa.Double),
        sa.Column("wave_size", sa.Integer),
        sa.Column("wave_pause_s", sa.Double, nullable=False),
        sa.Column("stop_at_failure_share", sa.Double),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_ts", sa.Double, nullable=False),
        sa.Column("ended_ts", sa.Double),
    )
    op.create_table(
        "job_targets",
        sa.Column("job_id", sa.Text, primary_key=True),
        sa.Column("cp_id", sa.Text, primary_key=True),
        sa.Column("wave", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("at_ts", sa.Double),
        sa.Column("duration_s", sa.Double),
        sa.Column("trace_id", sa.String(32), nullable=False),
    )
