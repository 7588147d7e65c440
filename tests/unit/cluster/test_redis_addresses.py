"""The addresses that the setting `redis` may have. Nothing connects here."""

import pytest

from wattspan.cluster.redis import RedisAddress
from wattspan.settings import load_settings


@pytest.mark.parametrize(
    ("url", "database", "is_cluster"),
    [
        ("redis://127.0.0.1", 0, False),
        ("redis://robin:secret@redis.example:6380/3", 3, False),
        ("rediss://:secret@redis.example/1", 1, False),
        ("unix:///run/redis.sock?db=2", 2, False),
        ("redis+sentinel://a.example,b.example:26380/fleet/4", 4, False),
        ("rediss+sentinel://:secret@a.example/fleet", 0, False),
        ("redis+cluster://a.example,b.example:6380", 0, True),
    ],
)
def test_every_kind_of_address_is_understood_and_permitted(url: str, database: int, is_cluster: bool) -> None:
    address = RedisAddress.parse(url)
    assert (address.database, address.is_cluster) == (database, is_cluster)
    overrides = {"redis": url, "database": "postgresql://db/fleet"}
    assert load_settings(overrides, None, {}).redis == url


@pytest.mark.parametrize("url", ["redis+sentinel://a.example", "redis+cluster://,a.example"])
def test_an_address_that_lacks_a_part_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"service|host"):
        RedisAddress.parse(url)
