"""Cluster status: the ``pve_kvstore_v1`` group as a replicated application, and the generated texts.

Pure; the daemon hands in clock, quorum and the tree and carries messages (status 1, 2, 4). The parts are in
``kvstore``, ``clusterlog`` and ``clinfo``.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from quorate.corosync.address import Address
from quorate.pmxcfs import kvstore, wire
from quorate.pmxcfs.clinfo import ClusterInfo, Node
from quorate.pmxcfs.clusterlog import SHOWN, ClusterLog
from quorate.pmxcfs.effects import Choice, Clock, Commit, Delivery, Level, Log, Message, TakeOverError
from quorate.pmxcfs.guests import GuestRegistry
from quorate.pmxcfs.kvstore import NODE_IP, RRD, KeyValues, RrdTexts, Update, UpdateError
from quorate.pmxcfs.logentry import EntryError
from quorate.pmxcfs.logring import Ring
from quorate.pmxcfs.requests import Request

GROUP = wire.KVSTORE_GROUP
PROTOCOL_VERSION = wire.KVSTORE_PROTOCOL

_U32 = 0xFFFFFFFF


class MessageType(enum.IntEnum):
    """Subtypes of normal messages in this group (status 1.2)."""

    UPDATE = 1
    LOG = 3


class TreeFacts(Protocol):
    """What the texts need of the present tree (``tree.Tree``)."""

    @property
    def guests(self) -> GuestRegistry: ...
    @property
    def versions(self) -> Mapping[bytes, int]: ...


class Status:
    """Status of the cluster as this node knows it.

    Wiring, in the daemon:

    - ``Machine(status, protocol_version=status.PROTOCOL_VERSION, has_updates=False, verifies=False,
      checks_quorum=False, ...)`` drives it, over an own CPG connection joined to ``GROUP``; call
      ``joined(Address)`` before each ``Machine.connected``.
    - Every effect but ``Send``, ``LeaveGroup``, ``Rejoin`` and ``Log`` of that machine can be ignored.
    - After connecting to cmap, and after each dispatch in which a tracked key fired:
      ``set_cluster_info(clinfo.read(cmap))``.
    - ``set_value`` and ``log`` return the message to submit, without a token:
      ``machine.submit(message.subtype, message.payload, None, clock)``; in local mode drop it.
    - The texts ``version() members() vmlist() rrd() clusterlog()`` fit ``virtual.Texts``. Whatever makes them
      change calls nothing: they are generated at each lookup.
    """

    def __init__(
        self,
        nodename: str,
        *,
        ip: str,
        pid: int,
        cluster: bool,
        tree: Callable[[], TreeFacts],
        quorate: Callable[[], bool],
        now: Callable[[], int],
        rrd_stored: Callable[[bytes, bytes], None] = lambda key, value: None,
    ) -> None:
        """``ip``: start-up address of this node as text (status 1.12). ``cluster``: False in local mode.

        ``tree`` returns the present tree, ``now`` the wall clock in whole seconds. ``rrd_stored`` gets each
        accepted RRD text, own or another node's, by its key without ``rrd/``; it must not wait. The first
        entry of the cluster log is made here (status 2.10).
        """
        self.nodename = nodename
        self.cluster = cluster
        self.info: ClusterInfo | None = None
        self.clinfo_version = 0
        self._tree, self._quorate, self._now = tree, quorate, now
        self._rrd_stored = rrd_stored
        self._started = now()
        self._address: Address | None = None
        self._present: frozenset[int] = frozenset()
        self._announce = False
        self._own_ip = ip.encode()
        self._ips: dict[str, bytes] = {}
        self._own = KeyValues()
        self._peers: dict[int, KeyValues] = {}
        self._rrd = RrdTexts()
        self._log = ClusterLog()
        self.log(ident=b"root", tag=b"cluster", pid=pid, priority=6, message=b"starting cluster log")

    # What this node itself does

    def set_value(self, key: bytes, value: bytes) -> tuple[int, Message | None]:
        """Set a key of this node (status 1.6): the result (0 or a negated errno) and the message to submit.

        An empty value removes an ordinary key; ``key`` is cut at 255 bytes and at its first NUL.
        """
        key = key[: kvstore.MAX_KEY].split(b"\0", 1)[0]
        result = kvstore.refusal(key, value)
        if result < 0:
            return result, None
        if key == NODE_IP:
            self._own_ip = _text(value)
            self._set_ip(self.nodename, self._own_ip)
        elif key.startswith(RRD):
            if not self._store_rrd(key, value):
                return -errno.ENOMEM, None
        elif not self._own.store(key, value):
            return -errno.ENOMEM, None
        return 0, Message(MessageType.UPDATE, Update(key, value).parts())

    def get_value(self, key: bytes, node: str = "") -> bytes | None:
        """An ordinary key of ``node`` (empty: this one); None: no such node or key (ENOENT)."""
        if node in ("", self.nodename):
            return self._own.get(key)
        known = self.info.named(node) if self.info is not None else None
        table = self._peers.get(known.nodeid) if known is not None else None
        return None if table is None else table.get(key)

    def log(self, *, ident: bytes, tag: bytes, pid: int, priority: int, message: bytes) -> Message | None:
        """Make an entry of the cluster log (status 2.2); returns the message to submit, if any."""
        packed = self._log.new(
            node=self.nodename.encode(),
            ident=ident,
            tag=tag,
            pid=pid,
            priority=priority,
            time=self._now(),
            message=message,
        )
        return None if packed is None else Message(MessageType.LOG, (packed,))

    def joined(self, address: Address) -> None:
        """Who this process is in the group; call before ``Machine.connected``."""
        self._address = address

    def set_cluster_info(self, info: ClusterInfo) -> None:
        """A new reading of the cluster info (status 1.9 end): what is known of nodes that stay is kept."""
        self.info = info
        self._peers = {nodeid: table for nodeid, table in self._peers.items() if nodeid in info.nodes}
        self._bump()

    # Application of the state machine

    def state(self) -> bytes:
        """The cluster log, sorted (status 1.9, 2.5)."""
        return self._log.state()

    def choose(self, states: Mapping[Address, bytes]) -> Choice:
        """Merge the members' logs (status 2.7). Nobody leads; malformed states count as missing."""
        rings: list[Ring] = []
        given: Ring | None = None
        for address in sorted(states):
            ring = Ring.received(states[address])
            if ring is not None:
                rings.append(ring)
            if address == self._address:
                given = ring
        later = []
        if given is None:
            rings.append(self._log.ring)
        else:
            later = self._log.since(given)
        if len(rings) > 1:
            self._log.merge(rings, later)
        self._announce = True
        return Choice(None, frozenset(states))

    def synced(self, clock: Clock) -> list[Message]:
        """After a synchronisation tell the others all own keys; and always the own address (status 1.9)."""
        updates = self._own.updates() if self._announce else []
        self._announce = False
        self._set_ip(self.nodename, self._own_ip)
        updates.append(Update(NODE_IP, self._own_ip + b"\0"))
        return [Message(MessageType.UPDATE, update.parts()) for update in updates]

    def members_changed(self, members: Sequence[Address], clock: Clock) -> None:
        """Who is in the group is online (status 1.9)."""
        self._present = frozenset(nodeid for nodeid, _ in members)
        if self.info is not None:
            self._bump()

    def deliver(
        self,
        sender: Address,
        subtype: int,
        time: int,
        payload: bytes,
        clock: Clock,
        *,
        own: bool,
        lowest: bool,
    ) -> Delivery:
        """Take in what another node says. Whatever is malformed is logged and ignored (status 1.2, 2.9)."""
        if own:  # applied before it was sent
            return Delivery(0)
        try:
            if subtype == MessageType.UPDATE:
                update = Update.unpack(payload)
                if self.info is None or sender.nodeid not in self.info.nodes:  # yet, most likely
                    return _ignored(sender, f"key {update.key!r}: the cluster info lacks it", Level.INFO)
                refused = self._update(sender, self.info.nodes[sender.nodeid], update)
            elif subtype == MessageType.LOG:
                refused = "" if self._log.insert(payload) else "a cluster log entry that is known or too old"
                if refused:
                    return _ignored(sender, refused, Level.DEBUG)
            else:
                refused = f"a message of unknown type {subtype}"
        except (UpdateError, EntryError) as error:
            refused = f"a malformed message of type {subtype}: {error}"
        return _ignored(sender, refused) if refused else Delivery(0)

    def updates(self, states: Mapping[Address, bytes]) -> list[tuple[bytes, ...]]:
        """There is no leader in this group."""
        return []

    def commit(self, own: bytes, leader: bytes, updates: Sequence[bytes], clock: Clock) -> Commit:
        """There is no leader in this group: never called."""
        raise TakeOverError("the status group has no leader to follow")

    def checksum(self) -> bytes:
        """Nothing is verified in this group."""
        return bytes(32)

    def mark(self) -> object:
        """Nobody waits for an answer here ..."""
        return None

    def resolve(self, requests: Sequence[Request], mark: object, nodeid: int) -> list[int | None]:
        """... so nothing is certain."""
        return [None] * len(requests)

    # Texts (status 4)

    def version(self) -> bytes:
        """``.version``: all counters (status 4.1)."""
        tree = self._tree()
        lines = [
            b'{\n"starttime": %d,\n"clinfo": %d,\n"vmlist": %d,\n'
            % (self._started & _U32, self.clinfo_version, tree.guests.version)
        ]
        lines += [b'"%b": %d,\n' % (path, count) for path, count in tree.versions.items()]
        tables = [(self.nodename, self._own)]
        if self.info is not None:
            tables += [
                (node.name, self._peers[nodeid])
                for nodeid, node in self.info.nodes.items()
                if nodeid in self._peers
            ]
        blocks = [
            b'"%b": {\n%b}\n'
            % (
                name.encode(),
                b",\n".join(b'"%b": %d' % (key, count) for key, count in table.versions()),
            )
            for name, table in tables
        ]
        return b"".join(lines) + b'"kvstore": {\n' + b",\n".join(blocks) + b"}\n}\n"

    def members(self) -> bytes:
        """``.members``: the cluster and who is there (status 4.2)."""
        head = b'{\n"nodename": "%b",\n"version": %d' % (self.nodename.encode(), self.clinfo_version)
        info = self.info
        if not self.cluster or info is None or not info.nodes:
            return head + b"\n}\n"
        lines = []
        for node in info.nodes.values():
            ip = self._ips.get(node.name)
            lines.append(
                b'  "%b": { "id": %d, "online": %d%b}'
                % (
                    node.name.encode("utf-8", "surrogateescape"),
                    node.nodeid,
                    node.nodeid in self._present,
                    b', "ip": "%b"' % ip if ip else b"",
                )
            )
        cluster = b'"cluster": { "name": "%b", "version": %d, "nodes": %d, "quorate": %d }' % (
            info.name.encode("utf-8", "surrogateescape"),
            info.version,
            len(info.nodes),
            self._quorate(),
        )
        return head + b",\n" + cluster + b',\n"nodelist": {\n' + b",\n".join(lines) + b"\n  }\n}\n"

    def vmlist(self) -> bytes:
        """``.vmlist``: the guests (status 4.3)."""
        registry = self._tree().guests
        head = b'{\n"version": %d' % registry.version
        if not registry.guests:
            return head + b"\n\n}\n"
        lines = [
            b'"%d": { "node": "%b", "type": "%b", "version": %d }'
            % (vmid, guest.node.encode(), guest.type.label.encode(), guest.version)
            for vmid, guest in sorted(registry.guests.items())
        ]
        return head + b',\n"ids": {\n' + b",\n".join(lines) + b"}\n\n}\n"

    def rrd(self) -> bytes:
        """``.rrd``: the latest RRD texts (status 3.6)."""
        return self._rrd.dump(self._now())[0]

    def rrd_answer(self) -> bytes:
        """The same for a local client: followed by one NUL when it was built just now, as clients know it."""
        text, fresh = self._rrd.dump(self._now())
        return text + b"\0" if fresh else text

    def clusterlog(self) -> bytes:
        """``.clusterlog``: the newest 50 entries of all users."""
        return self._log.json()

    def clusterlog_answer(self, user: bytes, maximum: int) -> bytes:
        """The same for a local client: of one user if given, at most ``maximum`` (0: 50)."""
        return self._log.json(user=user, maximum=maximum or SHOWN)

    # Helpers

    def _update(self, sender: Address, node: Node, update: Update) -> str:
        """Apply another node's UPDATE (status 1.7); returns why not, or nothing."""
        key, value = update
        if node.name == self.nodename:
            return f"key {key!r}: another process of this node is in the group (pid {sender.pid}); end it"
        if kvstore.refusal(key, value) < 0:
            return f"key {key!r}: its value of {len(value)} bytes breaks the rules"
        if key == NODE_IP:
            self._set_ip(node.name, _text(value))
            return ""
        if key.startswith(RRD):
            stored = self._store_rrd(key, value)
        else:
            table = self._peers.get(sender.nodeid)
            if table is None:
                if not value:
                    return ""
                table = self._peers[sender.nodeid] = KeyValues()
            stored = table.store(key, value)
        return "" if stored else f"key {key!r}: too many keys"

    def _store_rrd(self, key: bytes, value: bytes) -> bool:
        key = key.removeprefix(RRD)
        if not self._rrd.store(key, value, self._now()):
            return False
        self._rrd_stored(key, value)
        return True

    def _set_ip(self, name: str, ip: bytes) -> None:
        if self._ips.get(name) != ip:
            self._ips[name] = ip
            self._bump()

    def _bump(self) -> None:
        self.clinfo_version = (self.clinfo_version + 1) & _U32


def _text(value: bytes) -> bytes:
    return value.split(b"\0", 1)[0]


def _ignored(sender: Address, what: str, level: Level = Level.WARNING) -> Delivery:
    return Delivery(0, effects=(Log(level, f"from node {sender.nodeid}: ignored {what}"),))
