"""The parts of protobuf's wire format that our OTLP encoders need. It knows no message.

Protobuf messages merge by concatenation, and a repeated field's entries need not stand together.
"""

from opentelemetry.proto.common.v1.common_pb2 import KeyValue


def varint(number: int) -> bytes:
    """Return a non-negative integer as a varint."""
    return _SHORT[number] if number < len(_SHORT) else _varint(number)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004  seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_SHORT = [_varint(size) for size in range(2048)]


def framed(key: bytes, body: bytes) -> bytes:
    """Return a message, text or packed list as a field. `key` is the field number << 3 | 2."""
    size = len(body)
    return key + (_SHORT[size] if size < len(_SHORT) else _varint(size)) + body


class Text:
    """Encodes text attributes of one key as `field`. What UTF-8 cannot encode becomes "?"."""

    __slots__ = ("_field", "_key")

    def __init__(self, field: bytes, key: str) -> None:
        self._field = field
        self._key = KeyValue(key=key).SerializeToString()

    def __call__(self, value: str) -> bytes:
        encoded = self._key + framed(b"\x12", framed(b"\x0a", value.encode(errors="replace")))
        return framed(self._field, encoded)
