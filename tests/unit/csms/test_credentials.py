import pytest

from wattspan.csms.security.credentials import check_secret, hash_secret, is_slow, new_secret

HEX_KEY = "4F43415F4F4354545F61646D696E5F7465737432"  # "OCA_OCTT_admin_test2"


@pytest.mark.parametrize("machine_made", [True, False])
def test_the_right_secret_is_accepted_and_no_other(machine_made):
    stored = hash_secret("correct horse", machine_made)
    assert check_secret("correct horse", stored)
    for wrong in ("correct horsf", "", "correct horse ", "Correct horse"):
        assert not check_secret(wrong, stored)


def test_a_key_is_the_same_as_bytes_and_as_hex_digits():
    for kept in (HEX_KEY, HEX_KEY.lower(), "OCA_OCTT_admin_test2", bytes.fromhex(HEX_KEY)):
        stored = hash_secret(kept, machine_made=True)
        for sent in (HEX_KEY, HEX_KEY.lower(), "OCA_OCTT_admin_test2", bytes.fromhex(HEX_KEY)):
            assert check_secret(sent, stored)


def test_bytes_that_are_no_text_are_a_secret_too():
    key = bytes(range(200, 220))
    assert check_secret(key, hash_secret(key.hex(), machine_made=True))


def test_the_same_secret_is_never_kept_the_same_way():
    assert hash_secret("secret", machine_made=True) != hash_secret("secret", machine_made=True)


def test_only_a_persons_secret_is_slow():
    assert is_slow(hash_secret("secret", machine_made=False))
    assert not is_slow(hash_secret("secret", machine_made=True))


@pytest.mark.parametrize(
    "stored", ["", "plain", "blake2b$", "blake2b$x$y", "md5$AAAA$AAAA", "scrypt$AAAA$", f"blake2b${'A' * 88}$AA=="]
)
def test_what_was_not_made_here_lets_nobody_in(stored):
    assert not check_secret("plain", stored)


def test_new_secrets_differ_and_fit_every_charger():
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(secret) == 20 and secret.isalnum() for secret in made)
