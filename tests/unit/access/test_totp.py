"""TOTP: the vectors of RFC 6238, the steps around, no code twice, and what a URI may hold."""

from __future__ import annotations

import base64

import pytest

from quorate.access.totp import TotpError, TotpKey, parse_uri

SEED = b"12345678901234567890"
SEEDS = {
    "SHA1": SEED,
    "SHA256": b"12345678901234567890123456789012",
    "SHA512": b"1234567890123456789012345678901234567890123456789012345678901234",
}
# RFC 6238, appendix B
VECTORS = [
    (59, "SHA1", "94287082"),
    (59, "SHA256", "46119246"),
    (59, "SHA512", "90693936"),
    (1111111109, "SHA1", "07081804"),
    (1111111109, "SHA256", "68084774"),
    (1111111109, "SHA512", "25091201"),
    (1234567890, "SHA1", "89005924"),
    (2000000000, "SHA256", "90698825"),
    (20000000000, "SHA512", "47863826"),
]
SECRET = base64.b32encode(SEED).decode()
NOW = 1_700_000_000


@pytest.mark.parametrize(("time", "algorithm", "code"), VECTORS)
def test_vectors(time: int, algorithm: str, code: str) -> None:
    key = TotpKey(SEEDS[algorithm], digits=8, algorithm=algorithm)
    assert key.code_at(time // 30) == code
    assert key.matching_step(code, time, None) == time // 30


def test_one_step_before_and_after_counts() -> None:
    key = TotpKey(SEED)
    step = NOW // 30
    for distance, right in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        found = key.matching_step(key.code_at(step + distance), NOW, None)
        assert found == (step + distance if right else None)


def test_no_code_counts_twice() -> None:
    key = TotpKey(SEED)
    step = NOW // 30
    used = key.matching_step(key.code_at(step), NOW, None)
    assert used == step
    assert key.matching_step(key.code_at(step), NOW + 20, used) is None
    assert key.matching_step(key.code_at(step - 1), NOW, used) is None
    assert key.matching_step(key.code_at(step + 1), NOW, used) == step + 1


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "１２３４５６", " 123456", "-12345"])
def test_what_is_no_code(code: str) -> None:
    assert TotpKey(SEED).matching_step(code, NOW, None) is None


def test_uri_and_back() -> None:
    key = parse_uri(
        f"otpauth://totp/Lab%20One:bob@pve?secret={SECRET.lower()}&algorithm=SHA256&digits=8&period=60"
    )
    assert (key.secret, key.digits, key.period, key.algorithm) == (SEED, 8, 60, "SHA256")
    assert (key.issuer, key.account) == ("Lab One", "bob@pve")
    assert parse_uri(key.uri()) == key
    assert parse_uri(f"otpauth://totp/bob?secret={SECRET}") == TotpKey(SEED, account="bob")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://example.org/?secret=AAAA",
        f"otpauth://hotp/bob?secret={SECRET}",
        "otpauth://totp/bob",
        "otpauth://totp/bob?secret=",
        "otpauth://totp/bob?secret=GEZDGNBV",
        "otpauth://totp/bob?secret=1nvalid!",
        f"otpauth://totp/bob?secret={'A' * 400}",
        f"otpauth://totp/bob?secret={SECRET}&digits=4",
        f"otpauth://totp/bob?secret={SECRET}&period=0",
        f"otpauth://totp/bob?secret={SECRET}&period=9999999",
        f"otpauth://totp/bob?secret={SECRET}&algorithm=MD5",
        f"otpauth://totp/bob?secret={SECRET}&x={'y' * 3000}",
        "otpauth://[totp/bob",
    ],
)
def test_refused_uris(uri: str) -> None:
    with pytest.raises(TotpError) as caught:
        parse_uri(uri)
    assert SECRET not in str(caught.value)


def test_the_secret_does_not_show() -> None:
    assert "1234567890" not in repr(TotpKey(SEED))
