"""Rows as PostgreSQL arrays, one for each column, so that one statement of few parameters writes all rows of a batch.

The driver spends more on a row and on each of its values than the database does. Only the texts of arrays are made
here; a value that does not fit its column is refused, by PostgreSQL or by a TypeError.
"""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from wattspan.store.rows import Row

_SEPARATOR, _BETWEEN = "\x1f", '","'
"""Texts are escaped together, joined by a character that is in none of them."""

Encode = Callable[[Sequence[Any]], str]


def to_arrays(rows: Sequence[Row], encoders: Sequence[Encode]) -> list[str]:
    """Return the columns of `rows` as texts of arrays. Raises TypeError for a value that is no text and should be."""
    return [encode(column) for encode, column in zip(encoders, zip(*rows, strict=True), strict=True)]


def encoder(column: sa.Column[Any]) -> Encode:
    """Return how the values of a column are written in an array."""
    return _texts if isinstance(column.type, sa.String) else _numbers


def array_type(column: sa.Column[Any], dialect: sa.Dialect) -> str:
    """Return the SQL type of an array of the column's values."""
    # A cast to varchar(n) would cut a text that is too long, which the column itself refuses.
    return "TEXT[]" if isinstance(column.type, sa.String) else f"{column.type.compile(dialect=dialect)}[]"


def _numbers(values: Sequence[Any]) -> str:
    """Return numbers and booleans as an array. What is neither has a text that PostgreSQL refuses."""
    return f"{{{','.join(map(repr, values)).replace('None', 'NULL')}}}"


def _texts(values: Sequence[str | None]) -> str:
    if None in values:
        return _nullable(values)
    joined = _SEPARATOR.join(values)  # type: ignore[arg-type]
    if joined.count(_SEPARATOR) >= len(values):
        return _nullable(values)
    return f'{{"{_escaped(joined).replace(_SEPARATOR, _BETWEEN)}"}}'


def _nullable(values: Sequence[str | None]) -> str:
    return f"{{{','.join(map(_quoted, values))}}}"


def _quoted(value: str | None) -> str:
    if value is None:
        return "NULL"
    if not isinstance(value, str):
        raise TypeError(f"a text is required, not {type(value).__name__}")
    return f'"{_escaped(value)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
