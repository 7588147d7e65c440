"""Samples of a large message in a fraction of the memory of their objects. It knows no OCPP version.

The samples of a charge point differ in their values only. All other fields are kept once for each shape.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from wattspan.domain.events import Payload

MAX_SHAPES = 1_024
"""Different samples, and different lists of them, in one message. Further ones are not packed."""
MAX_SHAPE_CHARACTERS = 1_024
MAX_PICKS = 64
"""Selections from the lists of one shape that are shared."""


class _Shape:
    """The samples of a list without their values."""

    __slots__ = ("picks", "rests")

    def __init__(self, rests: tuple[Payload, ...]) -> None:
        self.rests = rests
        self.picks: dict[tuple[int, ...], _Shape] = {}


class PackedSamples(Sequence[Payload]):
    """A sampledValue list. Each access creates the sample's object anew, with the value as its first field."""

    __slots__ = ("_shape", "_values")

    def __init__(self, shape: _Shape, values: tuple[Any, ...]) -> None:
        self._shape = shape
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Payload]:
        for rest, value in zip(self._shape.rests, self._values, strict=True):
            yield {"value": value, **rest}

    @overload
    def __getitem__(self, index: int) -> Payload: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Payload]: ...
    def __getitem__(self, index: int | slice) -> Payload | Sequence[Payload]:
        if isinstance(index, slice):
            return list(self)[index]
        return {"value": self._values[index], **self._shape.rests[index]}

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, PackedSamples | list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as that of a list

    def __repr__(self) -> str:
        return repr(list(self))

    def pick(self, indices: tuple[int, ...]) -> "PackedSamples":
        """Return the samples at these indices."""
        shape, values = self._shape, self._values
        picked = shape.picks.get(indices)
        if picked is None:
            picked = _Shape(tuple([shape.rests[index] for index in indices]))
            if len(shape.picks) < MAX_PICKS:
                shape.picks[indices] = picked
        return PackedSamples(picked, tuple([values[index] for index in indices]))


class Packer:
    """Packs the samples of one message."""

    def __init__(self) -> None:
        self._rests: dict[str, Payload] = {}
        self._shapes: dict[tuple[int, ...], _Shape] = {}

    def pack(self, entries: Iterable[Any]) -> None:
        """Pack the samples of MeterValues in place. Anything that is not as OCPP defines it stays as it is."""
        for entry in entries:
            if type(entry) is dict and type(entry.get("sampledValue")) is list:
                entry["sampledValue"] = self._packed(entry["sampledValue"])

    def _packed(self, samples: list[Any]) -> Any:
        """Return a packed copy, or `samples` itself if they can't be packed."""
        rests = [self._rest(sample) for sample in samples]
        if None in rests or not rests:
            return samples
        key = tuple([id(rest) for rest in rests])  # the rests live as long as this packer
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= MAX_SHAPES:
                return samples
            shape = self._shapes[key] = _Shape(tuple([rest for rest in rests if rest is not None]))
        return PackedSamples(shape, tuple([sample["value"] for sample in samples]))

    def _rest(self, sample: Any) -> Payload | None:
        """Return the shared fields of a sample; None if it can't be packed."""
        if type(sample) is not dict or type(sample.get("value")) not in (str, int, float):
            return None
        rest = {name: field for name, field in sample.items() if name != "value"}
        key = repr(rest)  # unlike the fields themselves it is different for 1, 1.0 and True
        shared = self._rests.get(key)
        if shared is None and len(self._rests) < MAX_SHAPES and len(key) <= MAX_SHAPE_CHARACTERS:
            shared = self._rests[key] = rest
        return shared


def unpacked(entry: Any) -> Any:
    """Return a MeterValue as it was parsed."""
    if type(entry) is dict and type(entry.get("sampledValue")) is PackedSamples:
        return {**entry, "sampledValue": list(entry["sampledValue"])}
    return entry
