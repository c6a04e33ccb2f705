"""The registry of guests (vmlist): which guest is on which node, of which kind (core 1.13, status 1.11)."""

from __future__ import annotations

from typing import NamedTuple

from quorate.pmxcfs.entry import REGULAR, Entry
from quorate.pmxcfs.paths import GUEST_DIRECTORIES, Guest, GuestType, guest_id, is_node_name

_U32 = 0xFFFFFFFF


class RegisteredGuest(NamedTuple):
    """A guest as ``.vmlist`` shows it; ``version`` comes from one counter of the process."""

    node: str
    type: GuestType
    version: int


class GuestRegistry:
    """Guest id to (node, type), at most one per id.

    ``version`` counts changes of the list. Both counters outlive a synchronisation (``carry_over``).
    """

    __slots__ = ("_last_entry_version", "guests", "version")

    def __init__(self) -> None:
        self.guests: dict[int, RegisteredGuest] = {}
        self.version = 0
        self._last_entry_version = 0

    def __len__(self) -> int:
        return len(self.guests)

    def get(self, vmid: int) -> RegisteredGuest | None:
        return self.guests.get(vmid)

    def taken_elsewhere(self, guest: Guest) -> bool:
        """Whether the id is registered with another node or as another kind."""
        registered = self.guests.get(guest.vmid)
        return registered is not None and (registered.node != guest.node or registered.type is not guest.type)

    def register(self, guest: Guest) -> None:
        """Insert or replace."""
        self._put(guest)
        self.version = (self.version + 1) & _U32

    def unregister(self, vmid: int) -> None:
        """The configuration is gone; counts as a change even when the id was unknown."""
        self.guests.pop(vmid, None)
        self.version = (self.version + 1) & _U32

    def carry_over(self) -> GuestRegistry:
        """A copy to be rebuilt from another tree: same counters, same list."""
        other = GuestRegistry()
        other.guests = dict(self.guests)
        other.version = self.version
        other._last_entry_version = self._last_entry_version
        return other

    def rebuild(self, root: Entry) -> list[str]:
        """Read the list from the tree. Returns the faults that make a tree unacceptable (core 1.13).

        Without a directory ``nodes`` list and version stay as they are, as in the original.
        """
        assert root.children is not None
        nodes = root.children.get(b"nodes")
        if nodes is None or nodes.children is None:
            return []
        faults: list[str] = []
        self.guests = {}
        self.version = (self.version + 1) & _U32
        for node, directory in nodes.children.items():
            if directory.children is None or not is_node_name(node):
                continue
            for kind, type_ in GUEST_DIRECTORIES.items():
                configs = directory.children.get(kind)
                if configs is None:
                    continue
                where = f"nodes/{node.decode()}/{kind.decode()}"
                if configs.children is None:
                    faults.append(f"{where} (inode {configs.inode}) is a regular file, not a directory")
                    continue
                for name, entry in configs.children.items():
                    vmid = guest_id(name)
                    if vmid is None or entry.type != REGULAR:
                        continue
                    first = self.guests.get(vmid)
                    if first is not None:
                        faults.append(
                            f"guest {vmid} exists twice: on {first.node} ({first.type.label})"
                            f" and as {where}/{vmid}.conf (inode {entry.inode})",
                        )
                        continue
                    self._put(Guest(vmid, node.decode("ascii"), type_))
        return faults

    def _put(self, guest: Guest) -> None:
        self._last_entry_version = (self._last_entry_version + 1) & _U32
        self.guests[guest.vmid] = RegisteredGuest(guest.node, guest.type, self._last_entry_version)
