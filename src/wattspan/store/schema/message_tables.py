"""The table of kept messages."""

import sqlalchemy as sa

from wattspan.store.schema.base import Number, Seconds, metadata

# Messages of one charge point, masked and compressed, as lines that `wattspan replay` reads.
message_blocks = sa.Table(
    "message_blocks",
    metadata,
    sa.Column("id", Number, primary_key=True),
    sa.Column("cp_id", sa.Text, nullable=False),
    sa.Column("first_ts", Seconds, nullable=False),
    sa.Column("last_ts", Seconds, nullable=False),
    sa.Column("messages", sa.Integer, nullable=False),
    sa.Column("size_bytes", sa.Integer, nullable=False),
    sa.Column("lines", sa.LargeBinary, nullable=False),
    sa.Index("ix_message_blocks_cp_id_first_ts", "cp_id", "first_ts"),
    sa.Index("ix_message_blocks_last_ts", "last_ts"),
)
