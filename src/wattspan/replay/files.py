"""Log files as UTF-8, whatever their compression and encoding, and as lines. It knows no format."""

import codecs
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import IO

from wattspan.errors import WattspanError

STDIN = "-"
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_FORMAT = 31
"""`wbits` of zlib for gzip."""
_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_SEEN_BYTES = 64
"""What is looked at to recognise UTF-16 without a byte order mark."""
_COLOUR = re.compile(r"\x1b\[[\d;]*[A-Za-z]")


class LogError(WattspanError):
    """A log cannot be read."""


class DamagedFile(Exception):
    """A compressed file is cut off or damaged; what was read before is right."""


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """Open a file; "-" is standard input. Raises LogError."""
    if path == STDIN:
        yield sys.stdin.buffer
        return
    try:
        with Path(path).open("rb") as file:
            yield file
    except OSError as fault:
        raise LogError(f"{path}: {fault.strerror or fault}") from fault


def utf8(blocks: Iterator[bytes], block_bytes: int) -> Iterator[bytes]:
    """Yield the content of a file, decompressed if it is gzip and in UTF-8. Raises DamagedFile.

    PowerShell's `>` and exports of the Windows event log are UTF-16.
    """
    first = next(blocks, b"")
    blocks = chain([first], blocks)
    if first.startswith(_GZIP_MAGIC):
        blocks = _inflated(blocks, block_bytes)
        first = next(blocks, b"")
        blocks = chain([first], blocks)
    encoding, mark = _encoding_of(first)
    if encoding == "utf-8" and not mark:
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    yield next(blocks)[mark:] if encoding == "utf-8" else decoder.decode(next(blocks)[mark:]).encode()
    for block in blocks:
        yield block if encoding == "utf-8" else decoder.decode(block).encode()


def text_lines(block: bytes) -> list[str]:
    """Return the lines of a block that ends where a line ends.

    Without colours of a terminal, and without the NUL bytes that begin a log that was emptied while a program wrote it.
    """
    lines = block.decode("utf-8", "replace").split("\n")
    if not lines[-1]:
        lines.pop()
    if b"\r" in block:
        lines = [line.rstrip("\r") for line in lines]
    if b"\0" in block:
        lines = [line.lstrip("\0") for line in lines]
    return [_COLOUR.sub("", line) for line in lines] if b"\x1b" in block else lines


def _inflated(blocks: Iterator[bytes], block_bytes: int) -> Iterator[bytes]:
    """Decompress gzip: one file or several, one after the other."""
    inflater = zlib.decompressobj(_GZIP_FORMAT)
    for block in blocks:
        rest = block
        while rest:
            if inflater.eof:
                rest = rest.lstrip(b"\0")  # padding
                inflater = zlib.decompressobj(_GZIP_FORMAT) if rest else inflater
            before = inflater.copy()
            try:
                found = inflater.decompress(rest, block_bytes)
            except zlib.error as fault:
                yield _as_far_as_it_goes(before, rest)
                raise DamagedFile("the compressed file is damaged from here on") from fault
            if found:
                yield found
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    if not inflater.eof:
        raise DamagedFile("the compressed file is cut off here")


def _as_far_as_it_goes(inflater: "zlib._Decompress", block: bytes) -> bytes:
    """Return what a damaged block has before the damage."""
    found = bytearray()
    with suppress(zlib.error):
        for index in range(len(block)):
            found += inflater.decompress(block[index : index + 1])
    return bytes(found)


def _encoding_of(first: bytes) -> tuple[str, int]:
    """Return the encoding, and the length of its mark."""
    for mark, encoding in _BOMS.items():
        if first.startswith(mark):
            return encoding, len(mark)
    seen = first[: min(_SEEN_BYTES, len(first) // 2 * 2)]
    low, high = seen[::2], seen[1::2]
    if seen and not any(high) and all(low):
        return "utf-16-le", 0
    if seen and not any(low) and all(high):
        return "utf-16-be", 0
    return "utf-8", 0
