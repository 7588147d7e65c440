"""The tables of jobs: commands to many charge points, and what each answered."""

import sqlalchemy as sa

from wattspan.store.schema.base import Seconds, metadata

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("parameters", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("rate_per_s", sa.Double, nullable=False),
    sa.Column("timeout_s", sa.Double),
    # How long the outcome of a firmware update is waited for; null: the answer is the outcome.
    sa.Column("outcome_s", sa.Double),
    sa.Column("wave_size", sa.Integer),
    sa.Column("wave_pause_s", sa.Double, nullable=False),
    sa.Column("stop_at_failure_share", sa.Double),
    sa.Column("node", sa.Text, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created_ts", Seconds, nullable=False),
    sa.Column("ended_ts", Seconds),
)

job_targets = sa.Table(
    "job_targets",
    metadata,
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("cp_id", sa.Text, primary_key=True),
    sa.Column("wave", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("at_ts", Seconds),
    sa.Column("duration_s", sa.Double),
    sa.Column("trace_id", sa.String(32), nullable=False),
)
