"""``/access``: all operations of access control (pvecm 6.7), and ``/pools``, which lie in the same file."""

from __future__ import annotations

from typing import Final

from quorate.api import (
    access_consent,
    access_groups,
    access_login,
    access_realms,
    access_tfa,
    access_tokens,
    access_users,
    pools,
)
from quorate.schema import Operation

OPERATIONS: Final[list[Operation]] = [
    *access_login.OPERATIONS,
    *access_consent.OPERATIONS,
    *access_realms.OPERATIONS,
    *access_users.OPERATIONS,
    *access_tokens.OPERATIONS,
    *access_tfa.OPERATIONS,
    *access_groups.OPERATIONS,
    *pools.OPERATIONS,
]
