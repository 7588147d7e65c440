"""`ErasedToken`: an id token to be removed everywhere, and what takes its place. It knows no table and no file."""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from dataclasses import dataclass, field
from typing import Any

MIN_SEARCHED = 4
"""Shorter tokens are removed where they are a value of their own. In other text they would be found everywhere."""
LONGEST_NAME = 64
"""A longer text without spaces may be encoded in base64, as signed meter values are."""
START_KEY = "start "
"""Prefix of the key of a 1.6 start: a digest of its content, from which the token could be guessed."""
_TAGS = re.compile(r"(?<=tags/)[^/]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ErasedToken:
    """Replaces `id_token`, in any letter case (OCPP 1.6 §7.28), by `pseudonym`, which must be random."""

    id_token: str
    pseudonym: str
    _pattern: re.Pattern[str] = field(init=False, repr=False)
    _bytes: re.Pattern[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        escaped = re.escape(self.id_token)
        pattern = re.compile(rf"(?<![0-9A-Za-z]){escaped}(?![0-9A-Za-z])", re.IGNORECASE)
        object.__setattr__(self, "_pattern", pattern)
        encoded = re.escape(self.id_token.encode())
        object.__setattr__(
            self, "_bytes", re.compile(rb"(?<![0-9A-Za-z])" + encoded + rb"(?![0-9A-Za-z])", re.IGNORECASE)
        )

    @property
    def is_searched(self) -> bool:
        """Whether the token is long enough to be looked for within text and files."""
        return len(self.id_token) >= MIN_SEARCHED

    def names(self, text: str | None) -> bool:
        """Return whether the text is the token."""
        return text is not None and text.casefold() == self.id_token.casefold()

    def in_value(self, text: str) -> str:
        """Return the pseudonym for the token, and any other text as it is."""
        return self.pseudonym if self.names(text) else text

    def in_text(self, text: str) -> str:
        """Return the text with the token replaced where it stands by itself, in base64 too."""
        if self.names(text):
            return self.pseudonym
        if not self.is_searched:
            return text
        if len(text) > LONGEST_NAME and self.found_in(_decoded(text)):
            return self.pseudonym  # signed, so that no part of it can be replaced
        return self._pattern.sub(self.pseudonym, text)

    def in_path(self, path: str) -> str:
        """Return the path of a request with the token replaced where it names an id tag."""
        return _TAGS.sub(lambda found: self.in_value(found[0]), path)

    def in_json(self, value: Any, *, keep_numbers: bool = False) -> Any:
        """Return JSON with the token replaced in its texts; `keep_numbers`: not in those that are a number."""
        if isinstance(value, str):
            return value if keep_numbers and _is_number(value) else self.in_text(value)
        if isinstance(value, list):
            return [self.in_json(each, keep_numbers=keep_numbers) for each in value]
        if isinstance(value, dict):
            return {name: self.in_json(each, keep_numbers=keep_numbers) for name, each in value.items()}
        return value

    def found_in(self, data: bytes) -> bool:
        """Return whether the token stands in the bytes by itself, in UTF-8."""
        return self.is_searched and self._bytes.search(data) is not None

    def start_key(self, number: int) -> str:
        """Return the key of the transaction of that number, in place of the digest of its start."""
        return f"{START_KEY}{self.pseudonym} {number}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _decoded(text: str) -> bytes:
    """Return the bytes that the text encodes in base64, or b"" if it does not."""
    try:
        return b64decode(text, validate=True)
    except (NotBase64, ValueError):
        return b""
