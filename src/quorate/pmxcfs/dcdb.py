"""The configuration database as a replicated application: file-system messages over a ``Tree`` (core 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quorate.pmxcfs.tree import Tree

GROUP = b"pve_dcdb_v1\0"
PROTOCOL_VERSION = 1


class Dcdb:
    """``Application`` over a tree. ``tree`` is replaced as a whole when a foreign state is taken over."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
