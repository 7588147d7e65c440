"""How the samples of a reading are stored: their values in the row, all the rest once.

A charger's sampledValue lists differ in nothing but the values. The rest, the shape, is stored once under the hash of
its text; a row is then a sixth of the size, which is also what a year of readings takes on disk.
Used by the writer thread alone.
"""

from hashlib import blake2b
from typing import Any

import orjson

from wattspan.store.codec import from_json, to_json

SHAPES_LIMIT = 4096
"""Shapes kept apart. A charger that invents a new one with each message fills rows, not this table."""
LONGEST_SHAPE = 8192
"""Bytes of a shape: some 80 samples. What is longer is a charger's nonsense, and all of them are kept in memory."""


class Shapes:
    """The shapes the database holds, and those that the running transaction adds."""

    def __init__(self) -> None:
        self._ids: dict[bytes, int] = {}
        self._added: dict[bytes, int] = {}

    def load(self, rows: list[tuple[int, str]]) -> None:
        """Start from what `sample_shapes` holds."""
        self._ids = {template.encode(): number for number, template in rows}
        self._added.clear()

    def encode(self, samples: Any) -> tuple[int | None, str]:
        """The shape's id and the values as JSON; (None, all of it) for what has no value each or one shape too many."""
        try:
            rest = [sample.copy() for sample in samples]
            values = [sample.pop("value") for sample in rest]
            template = orjson.dumps(rest)
            shape = self._ids.get(template)
            if shape is None:
                shape = self._add(template)
            return shape, orjson.dumps(values).decode() if shape is not None else to_json(samples)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None, to_json(samples)

    def _add(self, template: bytes) -> int | None:
        is_too_much = len(self._ids) >= SHAPES_LIMIT or len(template) > LONGEST_SHAPE
        if is_too_much or b'"signedMeterValue"' in template:
            return None  # a signature is never the same again
        number = int.from_bytes(blake2b(template, digest_size=6).digest())
        self._ids[template] = self._added[template] = number
        return number

    def added(self) -> list[tuple[int, str]]:
        """What must be written with the rows encoded since the last `settle`."""
        return [(number, template.decode()) for template, number in self._added.items()]

    def settle(self, *, written: bool) -> None:
        """The transaction ended; what it added is forgotten unless it was written."""
        if not written:
            for template in self._added:
                del self._ids[template]
        self._added.clear()


def decode(template: str | None, samples: str) -> Any:
    """The samples of a row; `template` is its shape's, None where it has none."""
    values = from_json(samples)
    if template is None:
        return values
    return [{"value": value, **rest} for value, rest in zip(values, from_json(template), strict=True)]
