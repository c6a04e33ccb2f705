"""A whole lab: makes it, finds it, breaks and heals its network, and takes it away again."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from lab import record as records
from lab.base import CACHE, ensure_base
from lab.disk import add_disk, remove_disk
from lab.errors import LabError
from lab.faults import Faults, check_groups
from lab.host import require_host
from lab.layer import DAEMONS, GUESTS, binds, compile_sources, make_layer
from lab.node import Node
from lab.power import BINDS_FILE
from lab.processes import kill_cgroup, make_cgroup, remove_cgroup
from lab.record import Record
from lab.switch import Switch, delete_netns

KEY_TYPES = ("rsa", "ed25519")
GONE = ".gone-"
INOTIFY_PER_NODE = 7  # systemd takes about six
_numbers = itertools.count(1)


class Lab:
    """Several nodes and the switch between them.

    ``with Lab(nodes=3, links=2) as lab:`` makes and boots them and takes everything away at the end, also
    after an error; after a crash of this very process the next lab does it. ``keep``: it stays until
    destroy() is called, by whomever. ``boot``: the nodes to switch on at the start (None: all).
    ``daemons`` False masks our own services: plain Debian hosts with Corosync.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        nodes: int = 3,
        links: int = 1,
        keep: bool = False,
        boot: Sequence[str] | None = None,
        daemons: bool = True,
    ) -> None:
        self.name = name or f"t{os.getpid()}-{next(_numbers)}"
        self._size = (nodes, links)
        self._keep = keep
        self._boot = boot
        self._daemons = daemons
        self._record: Record | None = None

    @classmethod
    def open(cls, name: str) -> Lab:
        """A lab that exists already. Raises LabError if there is none of that name."""
        record = Record.load(name)
        lab = cls(name, nodes=record.nodes, links=record.links, keep=True)
        lab._record = record
        return lab

    @property
    def record(self) -> Record:
        if self._record is None:
            raise LabError(f"The lab {self.name} is not started.")
        return self._record

    @property
    def is_started(self) -> bool:
        """Whether it is there: between start() and destroy()."""
        return self._record is not None

    @property
    def nodes(self) -> list[Node]:
        return [Node(self.record, name) for name in self.record.node_names()]

    @property
    def links(self) -> range:
        return range(self.record.links)

    @property
    def switch(self) -> Switch:
        return Switch(self.record)

    def node(self, name: str) -> Node:
        if name not in self.record.node_names():
            raise LabError(f"There is no node {name!r} (there is: {', '.join(self.record.node_names())}).")
        return Node(self.record, name)

    # Life

    def __enter__(self) -> Lab:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.destroy()

    def start(self) -> None:
        """Make the lab and boot its nodes. Raises LabError, and leaves nothing behind then."""
        require_host()
        end_stale_labs()
        nodes, links = self._size
        record = Record.new(self.name, nodes=nodes, links=links, base=ensure_base(), keep=self._keep)
        try:
            record.dir.mkdir(parents=True)
        except FileExistsError as error:
            raise LabError(f"There is a lab named {self.name!r} already. End it: ./dev down") from error
        self._record = record
        try:
            self._make(record)
            self.power_on(self._boot)
        except BaseException:
            self.destroy()
            raise

    def destroy(self) -> None:
        """Take everything of this lab away, and nothing else. Harmless if it is gone already."""
        if self._record is not None:
            remove_lab(self._record)
            self._record = None

    def power_on(self, names: Sequence[str] | None = None) -> None:
        """Switch on these nodes (None: all) at once, and wait until they have booted."""
        chosen = self.nodes if names is None else [self.node(name) for name in names]
        if not chosen:
            return
        with ThreadPoolExecutor(max_workers=len(chosen)) as pool:
            for done in [pool.submit(node.power_on) for node in chosen]:
                done.result()

    def add_disks(self, mib: int) -> None:
        """Give every node, all of them off, a disk of its own for its database: see Node.fill_disk."""
        for name in self.record.node_names():
            add_disk(self.record.node_dir(name), mib)

    # Faults

    def cut(self, node: str, link: int | None = None) -> None:
        """Pull a node's cable on one link, or on all: both sides see the carrier go."""
        with self.switch.changing() as faults:
            faults.unplugged |= {(self.node(node).name, each) for each in self._links(link)}

    def split(self, groups: Sequence[Sequence[str]], link: int | None = None) -> None:
        """Frames between nodes of different groups vanish in the switch, both ways; all carriers stay."""
        check_groups(groups, self.record.node_names())
        with self.switch.changing() as faults:
            for each in self._links(link):
                faults.groups[each] = [list(group) for group in groups]

    def cut_one_way(self, source: str, destination: str, link: int | None = None) -> None:
        """What ``source`` sends to ``destination`` vanishes; the other way is whole."""
        a, b = self.node(source).name, self.node(destination).name
        with self.switch.changing() as faults:
            faults.one_way |= {(a, b, each) for each in self._links(link)}

    def drop(self, node: str, percent: int, link: int | None = None) -> None:
        """Lose this part of a node's frames, in either direction, at random."""
        if not 0 <= percent <= 100:
            raise LabError(f"{percent} is no percentage.")
        with self.switch.changing() as faults:
            faults.loss |= {(self.node(node).name, each): percent for each in self._links(link)}

    def delay(self, node: str, milliseconds: float, jitter: float = 0.0, link: int | None = None) -> None:
        """Delay a node's frames by so much, in either direction: a round trip takes twice as long."""
        with self.switch.changing() as faults:
            faults.delay |= {
                (self.node(node).name, each): (milliseconds, jitter) for each in self._links(link)
            }

    def heal(self, node: str | None = None, link: int | None = None) -> None:
        """Take away all faults (of one node, on one link)."""
        names = [self.node(node).name] if node else self.record.node_names()
        with self.switch.changing() as faults:
            faults.heal(names, self._links(link))

    def faults(self) -> Faults:
        """What is broken at present."""
        return self.switch.faults()

    def _links(self, link: int | None) -> list[int]:
        if link is not None and link not in self.links:
            raise LabError(f"There is no link {link} (there are {self.record.links}, counted from 0).")
        return list(self.links) if link is None else [link]

    # Making

    def _make(self, record: Record) -> None:
        record.save()
        _raise_inotify_limit(record.nodes)
        make_cgroup(record.cgroup)
        compile_sources()
        make_layer(record.layer)
        (record.dir / BINDS_FILE).write_text(json.dumps(binds()))
        Switch(record).create()
        for name in record.node_names():
            _make_node(record, name, daemons=self._daemons)


def _make_node(record: Record, name: str, *, daemons: bool) -> None:
    """What makes one node differ from another: its name, addresses and keys."""
    directory = record.node_dir(name)
    upper = directory / "upper"
    for part in (upper / "etc/network", upper / "etc/ssh", directory / "work", directory / "root"):
        part.mkdir(parents=True)
    etc = upper / "etc"
    (etc / "hostname").write_text(f"{name}\n")
    (etc / "machine-id").write_text(f"{secrets.token_hex(16)}\n")
    hosts = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    hosts += [f"{records.address(other, 0)} {other}.lab {other}" for other in record.node_names()]
    (etc / "hosts").write_text("\n".join([*hosts, ""]))
    interfaces = ["auto lo", "iface lo inet loopback"]
    for link in range(record.links):
        interfaces += [f"auto eth{link}", f"iface eth{link} inet static"]
        interfaces += [f"    address {records.address(name, link)}/24"]
    (etc / "network/interfaces").write_text("\n".join([*interfaces, ""]))
    if not daemons:
        masks = etc / "systemd/system"
        masks.mkdir(parents=True)
        for unit in (*DAEMONS, GUESTS):
            (masks / f"{unit}.service").symlink_to("/dev/null")
    for kind in KEY_TYPES:
        key = _host_key(name, kind)
        for file in (key, key.with_name(f"{key.name}.pub")):
            shutil.copy2(file, etc / "ssh" / file.name)


def _host_key(node: str, kind: str) -> Path:
    """The SSH host key of the node of that name, the same in every lab: making an RSA key takes a while."""
    key = CACHE / "hostkeys" / node / f"ssh_host_{kind}_key"
    if not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True)
        scratch = key.with_name(f"{key.name}.{os.getpid()}")
        argv = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"root@{node}", "-f", str(scratch)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        scratch.with_name(f"{scratch.name}.pub").replace(key.with_name(f"{key.name}.pub"))
        scratch.replace(key)
    return key


def _raise_inotify_limit(nodes: int) -> None:
    """From about 20 nodes on the machine's limit is too low; it is only ever raised."""
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    wanted = nodes * INOTIFY_PER_NODE + 64
    if nodes * INOTIFY_PER_NODE > int(limit.read_text()):
        limit.write_text(str(wanted))


def remove_lab(record: Record) -> None:
    """End every process of a lab and remove its namespaces and files."""
    kill_cgroup(record.cgroup)
    remove_cgroup(record.cgroup)
    for name in record.node_names():
        delete_netns(record.netns(name))
        remove_disk(record.node_dir(name))
    delete_netns(record.switch_netns)
    gone = record.dir.with_name(f"{GONE}{record.name}-{secrets.token_hex(4)}")
    record.dir.rename(gone)  # the name is free again at once, and a crash from here on leaves only files
    shutil.rmtree(gone)


def end_stale_labs() -> list[str]:
    """Take away the labs whose owner died or whose machine restarted; their names."""
    ended = []
    records.STATE.mkdir(parents=True, exist_ok=True)
    with (records.STATE / ".cleaning").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in records.names():
            record = Record.load(name)
            if record.is_stale():
                remove_lab(record)
                ended.append(name)
    return ended
