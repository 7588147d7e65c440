from wattspan.telemetry.tokens import TokenHash


def test_a_token_has_one_hash_whatever_its_case():
    hashed = TokenHash(b"key")
    assert hashed("AbC1") == hashed("aBc1") != hashed("AbC2")
    assert "abc1" not in hashed("AbC1").lower()


def test_without_the_key_the_hash_can_not_be_made_again():
    assert TokenHash(b"one")("A1") != TokenHash(b"other")("A1") != TokenHash()("A1") != TokenHash()("A1")
