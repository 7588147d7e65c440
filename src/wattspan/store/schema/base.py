"""What every table is declared with: the metadata with its names for keys and indexes, and the column types."""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Seconds = sa.Double
Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""64 bits everywhere; on SQLite it is the row id, which needs no index of its own."""
