from collections.abc import Callable

import pytest

from wattspan.csms.security.hashing import UNMATCHED, hash_fast, hash_slow, is_slow, verify

SECRET = b"correct horse battery"
# Both were written by an earlier version, for SECRET.
PHC = "$argon2id$v=19$m=19456,t=2,p=1$+2aVpIndQItS3NMBvCvVGg$a1uRZHndttLOnt/gSAcGF98cNjc2ae/EZo5NodcaXsk"
EARLIER = "argon2id$4FOVWC+GIV6xEwWlYhnrdA==$6LuCa/NsoK4AH3aoX9Uh+Jy4EZu1lk8JJbq7WgKuARo="


@pytest.mark.parametrize(
    "make",
    [lambda: PHC, lambda: EARLIER, lambda: hash_fast(SECRET), lambda: hash_slow(SECRET)],
    ids=["earlier password", "earlier key", "fast", "slow"],
)
def test_every_format_is_verified(make: Callable[[], str]) -> None:
    stored = make()
    assert verify(SECRET, stored)
    assert not verify(b"correct horse batterz", stored)
    assert not verify(b"", stored)


def test_slow_hashes_are_recognised_in_both_formats() -> None:
    assert is_slow(PHC)
    assert is_slow(EARLIER)
    assert is_slow(UNMATCHED)
    assert not is_slow(hash_fast(b"secret"))


def test_slow_hashes_are_written_in_one_format() -> None:
    assert hash_slow(b"secret").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_nothing_matches_the_hash_of_no_user() -> None:
    assert not verify(b"", UNMATCHED)


@pytest.mark.parametrize(
    "stored", ["", "plain", "blake2b$", "blake2b$x$y", "argon2id$AAAA$AAAA", "$argon2id$", "argon2id$é$é"]
)
def test_a_text_that_is_no_hash_matches_nothing(stored: str) -> None:
    assert not verify(b"plain", stored)
