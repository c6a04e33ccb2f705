"""Who a message is from: what Corosync's process groups call a member. Needs no library."""

from __future__ import annotations

from typing import NamedTuple


class Address(NamedTuple):
    """A member of a group: node id and the process id that joined. Sorts as core 6 orders members."""

    nodeid: int
    pid: int
