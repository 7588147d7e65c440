"""The tables of the history: sampled series, changes of state, planned outages. `store.series` has their formats."""

import sqlalchemy as sa

from wattspan.store.schema.base import Number, Seconds, metadata

# A block of samples of one charge point. `whole` holds those of the charge point itself, `connectors` those of each
# connector, so that sums over many charge points do not decompress the latter.
series = sa.Table(
    "series",
    metadata,
    sa.Column("cp_id", sa.Text, primary_key=True),
    sa.Column("step_s", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("start_ts", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("whole", sa.LargeBinary, nullable=False),
    sa.Column("connectors", sa.LargeBinary, nullable=False),
    sa.Index("ix_series_step_s_start_ts", "step_s", "start_ts"),
)

# The state that begins at `at_ts` and lasts until the next row of the same kind and connector; commands are marks.
state_changes = sa.Table(
    "state_changes",
    metadata,
    sa.Column("cp_id", sa.Text, primary_key=True),
    sa.Column("at_ts", Seconds, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("connector_id", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    # Whether availability begins or ends here: such rows are kept longer.
    sa.Column("is_edge", sa.Boolean, nullable=False),
    sa.Index("ix_state_changes_at_ts", "at_ts"),
)

# Outages that an operator excludes from availability. `connector_id` "": the whole charge point.
planned_outages = sa.Table(
    "planned_outages",
    metadata,
    sa.Column("id", Number, primary_key=True),
    sa.Column("cp_id", sa.Text, nullable=False),
    sa.Column("connector_id", sa.Text, nullable=False),
    sa.Column("from_ts", Seconds, nullable=False),
    sa.Column("until_ts", Seconds, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Index("ix_planned_outages_cp_id", "cp_id"),
)
