"""The few things about protobuf's wire format that OTLP messages written by hand need. It knows no message.

Protobuf messages merge by concatenation, and a repeated field's entries need not stand together.
"""

from opentelemetry.proto.common.v1.common_pb2 import KeyValue


def varint(number: int) -> bytes:
    """A whole number of 0 or more."""
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004  seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_SHORT = [varint(size) for size in range(2048)]


def framed(key: bytes, body: bytes) -> bytes:
    """A message, text or packed list as the field of `key`, which is number << 3 | 2."""
    size = len(body)
    return key + (_SHORT[size] if size < len(_SHORT) else varint(size)) + body


class Text:
    """Writes attributes of one key whose value is text, as the field of `field`. Other than UTF-8 becomes "?"."""

    __slots__ = ("_field", "_key")

    def __init__(self, field: bytes, key: str) -> None:
        self._field = field
        self._key = KeyValue(key=key).SerializeToString()

    def __call__(self, value: str) -> bytes:
        written = self._key + framed(b"\x12", framed(b"\x0a", value.encode(errors="replace")))
        return framed(self._field, written)
