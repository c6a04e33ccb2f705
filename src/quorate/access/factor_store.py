"""Second factors on the cluster's disk: read, change and check them under the cluster-wide lock. Root only.

What was used and what failed is kept in a file of its own, so that nodes that know nothing of it find
priv/tfa.cfg as they know it. Without quorum that file is the node's.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from quorate.access import second_factor
from quorate.access.factors import FactorError, Factors
from quorate.access.second_factor import Attempts, SecondFactorError, Verdict
from quorate.cfs import Cfs, CfsError, HeldLock, file_lock_id
from quorate.settings import Settings

FACTORS: Final = "priv/tfa.cfg"
ATTEMPTS: Final = "priv/tfa-attempts.json"
LOCK: Final = file_lock_id(FACTORS)
PRIVATE: Final = 0o600
LOCAL_LOCK_SECONDS: Final = 10.0
MAX_LOCAL: Final = 1 << 20


def read_factors(settings: Settings) -> Factors:
    """Raises `FactorError` for a broken file, `CfsError` when it cannot be read."""
    return Factors(_text(Cfs(settings), FACTORS))


def read_attempts(settings: Settings) -> dict[str, Attempts]:
    """What the cluster and this node remember."""
    known = second_factor.parse_attempts(_text(Cfs(settings), ATTEMPTS))
    for user, entry in second_factor.parse_attempts(_local_text(settings)).items():
        known[user] = known.get(user, Attempts()).merged(entry)
    return known


@contextmanager
def change_factors(settings: Settings) -> Iterator[tuple[Factors, HeldLock]]:
    """Change ``priv/tfa.cfg`` under its lock; it is written when the block ends without an error."""
    cfs = Cfs(settings)
    with cfs.lock(LOCK) as held:
        factors = read_factors(settings)
        yield factors, held
        held.remaining()
        cfs.write(FACTORS, factors.text().encode(), mode=PRIVATE)


def check(settings: Settings, user: str, answer: str, clock: Callable[[], float] = time.time) -> None:
    """Raise `SecondFactorError` unless ``TYPE:VALUE`` is right; what was used or failed is stored before.

    Without quorum a TOTP code is checked against what the cluster and this node remember; a recovery key
    needs quorum, because it has to be struck out everywhere.
    """
    cfs = Cfs(settings)
    try:
        if cfs.quorate():
            with cfs.lock(LOCK) as held:
                factors = read_factors(settings)
                verdict = _judge(settings, factors, user, answer, clock())
                held.remaining()
                if verdict.spent:
                    cfs.write(FACTORS, factors.text().encode(), mode=PRIVATE)
                _store_attempts(cfs, user, verdict.attempts)
        else:
            with _local_lock(settings):
                verdict = _judge(settings, read_factors(settings), user, answer, clock())
                if verdict.spent:
                    raise SecondFactorError("recovery keys cannot be used without quorum")
                _store_local(settings, user, verdict.attempts)
    except (CfsError, FactorError, OSError) as err:
        raise SecondFactorError(f"unable to check the second factor: {err}") from err
    if not verdict.accepted:
        raise SecondFactorError(verdict.reason)


def unlock(settings: Settings, user: str, clock: Callable[[], float] = time.time) -> bool:
    """Forget a user's failures; whether something was locked. Raises `CfsError`."""
    cfs = Cfs(settings)
    with cfs.lock(LOCK):
        attempts = read_attempts(settings).get(user, Attempts())
        now = clock()
        if attempts.failures or attempts.totp_failures or attempts.locked_until:
            _store_attempts(cfs, user, second_factor.unlocked(attempts, now))
    return attempts.totp_locked or attempts.locked_until > now


def forget_attempts(settings: Settings, user: str) -> None:
    """For a user that is gone. The lock of the factors must be held."""
    cfs = Cfs(settings)
    known = second_factor.parse_attempts(_text(cfs, ATTEMPTS))
    if known.pop(user, None) is not None:
        cfs.write(ATTEMPTS, second_factor.format_attempts(known).encode(), mode=PRIVATE)


def _judge(settings: Settings, factors: Factors, user: str, answer: str, now: float) -> Verdict:
    attempts = read_attempts(settings).get(user, Attempts())
    return second_factor.judge(factors, attempts, user, answer, now)


def _store_attempts(cfs: Cfs, user: str, attempts: Attempts) -> None:
    known = second_factor.parse_attempts(_text(cfs, ATTEMPTS))
    known[user] = attempts
    cfs.write(ATTEMPTS, second_factor.format_attempts(known).encode(), mode=PRIVATE)


def _text(cfs: Cfs, path: str) -> str:
    try:
        return cfs.read(path).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


# -- this node's own file ---------------------------------------------------------------------------------


def _local_path(settings: Settings) -> Path:
    return settings.state_dir / "tfa-attempts.json"


def _local_text(settings: Settings) -> str:
    try:
        with _local_path(settings).open("rb") as file:
            return file.read(MAX_LOCAL).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _store_local(settings: Settings, user: str, attempts: Attempts) -> None:
    known = second_factor.parse_attempts(_local_text(settings))
    known[user] = attempts
    path = _local_path(settings)
    temporary = path.with_name(f"{path.name}.tmp.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, PRIVATE)
    with os.fdopen(fd, "wb") as file:
        file.write(second_factor.format_attempts(known).encode())
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


@contextmanager
def _local_lock(settings: Settings) -> Iterator[None]:
    path = settings.state_dir / ".tfa-attempts.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
    end = time.monotonic() + LOCAL_LOCK_SECONDS
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as err:
                if time.monotonic() >= end:
                    raise SecondFactorError(f"unable to lock '{path}': got timeout") from err
                time.sleep(0.05)
        yield
    finally:
        os.close(fd)
