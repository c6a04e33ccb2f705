"""Second factors: the file, which ones are asked for, failures in a row, recovery keys, lock-out."""

from __future__ import annotations

import json

import pytest

from quorate.access.factors import MAX_ENTRIES, FactorError, Factors
from quorate.access.second_factor import (
    LOCK_SECONDS,
    MAX_FAILURES,
    MAX_TOTP_FAILURES,
    Attempts,
    SecondFactorError,
    format_attempts,
    judge,
    parse_attempts,
    required,
    unlocked,
)
from quorate.access.totp import TotpKey

NOW = 1_700_000_000
KEY = TotpKey(b"12345678901234567890", account="bob@pve")
BOB = "bob@pve"


def _code(now: float = NOW) -> str:
    return f"totp:{KEY.code_at(int(now) // 30)}"


def _with_totp() -> Factors:
    factors = Factors()
    factors.add_totp(BOB, KEY.uri(), "telephone", NOW)
    return factors


def test_the_file_keeps_what_it_does_not_understand() -> None:
    text = json.dumps(
        {
            "webauthn": {"rp": "lab"},
            "users": {
                "eve@pve": {"webauthn": [{"info": {"id": "k1", "created": 5}, "entry": {"x": 1}}], "new": [1]}
            },
        }
    )
    factors = Factors(text)
    entry = factors.add_totp(BOB, KEY.uri(), "telephone", NOW)
    again = json.loads(factors.text())
    assert again["webauthn"] == {"rp": "lab"}
    assert again["users"]["eve@pve"] == json.loads(text)["users"]["eve@pve"]
    stored = again["users"][BOB]["totp"][0]
    assert stored == {"info": {"id": entry, "description": "telephone", "created": NOW}, "entry": KEY.uri()}
    assert [factor.kind for factor in factors.of("eve@pve")] == ["webauthn"]


@pytest.mark.parametrize("text", ["{", "[]", '{"users": []}', '{"users": {"bob@pve": 1}}', "null"])
def test_a_broken_file_lets_nobody_in(text: str) -> None:
    with pytest.raises(FactorError):
        Factors(text)


def test_entries_are_found_changed_and_removed() -> None:
    factors = _with_totp()
    entry = factors.of(BOB)[0]
    assert entry.as_data() == {"id": entry.id, "type": "totp", "description": "telephone", "created": NOW}
    factors.update(BOB, entry.id, description="old telephone", enable=False)
    assert factors.find(BOB, entry.id).as_data()["enable"] == 0
    assert factors.totp_keys(BOB) == {}
    with pytest.raises(FactorError, match="no such TFA entry 'x'"):
        factors.remove(BOB, "x")
    factors.remove(BOB, entry.id)
    assert (factors.of(BOB), factors.users()) == ([], [])
    assert json.loads(factors.text()) == {"users": {}}


def test_entries_are_bounded() -> None:
    factors = Factors()
    for _ in range(MAX_ENTRIES):
        factors.add_totp(BOB, KEY.uri(), "", NOW)
    with pytest.raises(FactorError, match="already"):
        factors.add_totp(BOB, KEY.uri(), "", NOW)


def test_who_is_asked() -> None:
    assert required(Factors(), BOB, "") is None
    assert required(_with_totp(), BOB, "x") == {"totp": True}
    # What user.cfg says does not matter where the file knows a factor.
    assert required(_with_totp(), BOB, "") == {"totp": True}
    assert required(_with_totp(), "eve@pve", "") is None
    both = _with_totp()
    both.add_recovery(BOB, NOW)
    assert required(both, BOB, "x") == {"totp": True, "recovery": list(range(10))}
    disabled = _with_totp()
    disabled.update(BOB, disabled.of(BOB)[0].id, description=None, enable=False)
    assert required(disabled, BOB, "x") is None


@pytest.mark.parametrize(
    ("factors", "keys", "realm"),
    [
        (Factors(), "x", ""),  # marked, but nothing is known
        (Factors(), "v2-0123456789", ""),  # a secret of the old kind
        (Factors(), "", "oath"),  # the realm demands one
        (Factors('{"users":{"bob@pve":{"webauthn":[{"info":{"id":"k"}}]}}}'), "x", ""),
        (Factors('{"users":{"bob@pve":{"totp":[{"info":{"id":"k"},"entry":"rubbish"}]}}}'), "x", ""),
    ],
)
def test_who_is_never_let_in_by_the_password_alone(factors: Factors, keys: str, realm: str) -> None:
    with pytest.raises(SecondFactorError):
        required(factors, BOB, keys, realm)


def test_a_code_opens_once() -> None:
    factors = _with_totp()
    first = judge(factors, Attempts(), BOB, _code(), NOW)
    assert (first.accepted, first.spent) == (True, False)
    again = judge(factors, first.attempts, BOB, _code(), NOW + 1)
    assert not again.accepted
    assert judge(factors, again.attempts, BOB, _code(NOW + 30), NOW + 30).accepted


@pytest.mark.parametrize("answer", ["", "totp:", "totp:000000", "123456", "webauthn:{}", "recovery:", "x:y"])
def test_wrong_answers(answer: str) -> None:
    verdict = judge(_with_totp(), Attempts(), BOB, answer, NOW)
    assert (verdict.accepted, verdict.attempts.failures) == (False, 1)


def test_wrong_codes_in_a_row_lock_totp() -> None:
    factors, attempts = _with_totp(), Attempts()
    keys = factors.add_recovery(BOB, NOW)
    for _ in range(MAX_TOTP_FAILURES):
        assert not attempts.totp_locked
        attempts = judge(factors, attempts, BOB, "totp:000000", NOW).attempts
    assert attempts.totp_locked
    assert not judge(factors, attempts, BOB, _code(), NOW).accepted
    # Time alone does not open it, a recovery key does.
    later = NOW + 10 * LOCK_SECONDS
    assert not judge(factors, attempts, BOB, _code(later), later).accepted
    opened = judge(factors, attempts, BOB, f"recovery:{keys[0]}", NOW)
    assert (opened.accepted, opened.attempts.totp_locked) == (True, False)
    assert judge(factors, opened.attempts, BOB, _code(), NOW).accepted
    # So does an administrator.
    assert judge(factors, unlocked(attempts, NOW), BOB, _code(), NOW).accepted


def test_a_right_code_forgives_failures_before() -> None:
    factors, attempts = _with_totp(), Attempts()
    for round_ in range(3):
        now = NOW + 30 * round_
        for _ in range(MAX_TOTP_FAILURES - 1):
            attempts = judge(factors, attempts, BOB, "totp:000000", now).attempts
        verdict = judge(factors, attempts, BOB, _code(now), now)
        assert verdict.accepted
        attempts = verdict.attempts


def test_too_many_failures_lock_everything_for_a_while() -> None:
    factors, attempts = _with_totp(), Attempts()
    keys = factors.add_recovery(BOB, NOW)
    for _ in range(MAX_FAILURES):
        assert attempts.locked_until == 0
        attempts = judge(factors, attempts, BOB, "recovery:wrong", NOW).attempts
    answer = f"recovery:{keys[0]}"
    assert attempts.locked_until == NOW + LOCK_SECONDS
    assert not judge(factors, attempts, BOB, answer, NOW + LOCK_SECONDS - 1).accepted
    assert judge(factors, attempts, BOB, answer, NOW + LOCK_SECONDS).accepted


def test_a_recovery_key_works_once() -> None:
    factors = Factors()
    keys = factors.add_recovery(BOB, NOW)
    assert len(set(keys)) == 10
    assert all(key not in factors.text() for key in keys)
    first = judge(factors, Attempts(), BOB, f"recovery:{keys[3].upper()}", NOW)
    assert (first.accepted, first.spent) == (True, True)
    assert factors.recovery_left(BOB) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert not judge(factors, first.attempts, BOB, f"recovery:{keys[3]}", NOW).accepted
    assert judge(Factors(factors.text()), first.attempts, BOB, f"recovery:{keys[4]}", NOW).accepted
    with pytest.raises(FactorError, match="already has recovery keys"):
        factors.add_recovery(BOB, NOW)


def test_what_is_remembered_can_be_stored_and_merged() -> None:
    one = Attempts({"a": 5, "b": 9}, 3, 4, 0, changed=100)
    assert parse_attempts(format_attempts({BOB: one})) == {BOB: one}
    for rubbish in ("", "{", "[]", '{"bob@pve": 5}', '{"bob@pve": {"steps": 5, "failures": "x"}}'):
        assert parse_attempts(rubbish).get(BOB, Attempts()) == Attempts()
    other = Attempts({"a": 7}, 0, 0, 0, changed=101)
    assert one.merged(other) == other.merged(one) == Attempts({"a": 7, "b": 9}, 0, 0, 0, changed=101)
