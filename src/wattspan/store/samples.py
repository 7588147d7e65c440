"""Storage of a reading's samples: the values in the row, everything else once.

A charger's sampledValue lists differ only in their values. The rest, the shape, is stored once under the hash of its
text, which makes a row, and a year of readings on disk, a sixth of the size. Used only by the writer thread.
"""

from hashlib import blake2b
from typing import Any

import orjson

from wattspan.domain.packed_samples import PackedSamples
from wattspan.store.codec import from_json, to_json

SHAPES_LIMIT = 4096
"""Maximum number of stored shapes. Samples of further shapes are stored whole in their rows."""
LONGEST_SHAPE = 8192
"""Maximum size of a shape in bytes, about 80 samples: all shapes are kept in memory."""


class Shapes:
    """The shapes in the database, and those that the current transaction adds."""

    def __init__(self) -> None:
        self._ids: dict[bytes, int] = {}
        self._added: dict[bytes, int] = {}

    def load(self, rows: list[tuple[int, str]]) -> None:
        """Load the rows of `sample_shapes`."""
        self._ids = {template.encode(): number for number, template in rows}
        self._added.clear()

    def encode(self, samples: Any) -> tuple[int | None, str]:
        """Return the shape's id and the values as JSON, or None and all samples if they can't be split or stored so."""
        try:
            rest = [sample.copy() for sample in samples]
            values = [sample.pop("value") for sample in rest]
            template = orjson.dumps(rest)
            shape = self._ids.get(template)
            if shape is None:
                shape = self._add(template)
            return shape, orjson.dumps(values).decode() if shape is not None else _whole(samples)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None, _whole(samples)

    def _add(self, template: bytes) -> int | None:
        exceeds = len(self._ids) >= SHAPES_LIMIT or len(template) > LONGEST_SHAPE
        if exceeds or b'"signedMeterValue"' in template:
            return None  # every signature is different
        number = int.from_bytes(blake2b(template, digest_size=6).digest())
        self._ids[template] = self._added[template] = number
        return number

    def added(self) -> list[tuple[int, str]]:
        """Return the shapes to write with the rows that were encoded since the last `settle`."""
        return [(number, template.decode()) for template, number in self._added.items()]

    def settle(self, *, written: bool) -> None:
        """Note the end of the transaction; forget the shapes it added unless it was written."""
        if not written:
            for template in self._added:
                del self._ids[template]
        self._added.clear()


def _whole(samples: Any) -> str:
    return to_json(list(samples) if isinstance(samples, PackedSamples) else samples)


def decode(template: str | None, samples: str) -> Any:
    """Return the samples of a row; `template` is its shape, or None."""
    values = from_json(samples)
    if template is None:
        return values
    return [{"value": value, **rest} for value, rest in zip(values, from_json(template), strict=True)]
