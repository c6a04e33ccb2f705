"""``/cluster/resources``: pools, guests, nodes, storages and networks with their figures (pvecm 6.6).

From replicated state alone; no node is asked. Each entry is encoded once per change, each user's list once
per change of the state or of user.cfg.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from quorate.access.directory import Directory, directory_of
from quorate.access.users import ROOT, UserConfig
from quorate.api.results import Encoded
from quorate.cfs import CfsError
from quorate.replicated import Replicated, State, Storage, number, replicated_of
from quorate.schema import All, ApiError, Array, Context, Integer, Number, Object, Operation, String, Unit
from quorate.settings import Settings

MAX_LISTS: Final = 64
"""Users' lists that are kept, the least used go first: with 1,000 guests some 300 kB each."""

TYPES: Final = ("vm", "storage", "node", "sdn")

_NODE_COLUMNS: Final = {
    "uptime": 0,
    "maxcpu": 4,
    "cpu": 5,
    "maxmem": 7,
    "mem": 8,
    "maxdisk": 11,
    "disk": 12,
}
_CAPACITY: Final = ("maxcpu", "maxmem", "maxdisk")
"""What is told of a node also while it is offline."""
_GUEST_COLUMNS: Final = {
    "uptime": 0,
    "maxcpu": 5,
    "cpu": 6,
    "maxmem": 7,
    "mem": 8,
    "maxdisk": 9,
    "disk": 10,
    "netin": 11,
    "netout": 12,
    "diskread": 13,
    "diskwrite": 14,
}
LOCAL_NETWORK: Final = "localnetwork"
"""The zone of every node's own bridges; there are no others."""

_GUEST_NAME: Final = 1
_GUEST_STATUS: Final = 2
_GUEST_TEMPLATE: Final = 3
_STORAGE_COLUMNS: Final = {"maxdisk": 1, "disk": 2}

Entry = dict[str, object]


class Resource(NamedTuple):
    """One entry, encoded. Who has none of ``privileges`` on ``path`` gets ``reduced``, or nothing."""

    kind: str
    path: str
    privileges: tuple[str, ...]
    text: str
    reduced: str | None = None


# -- entries --------------------------------------------------------------------------------------------


def node_entry(state: State, node: str, *, online: bool, figures: bool) -> Entry:
    """A node as ``/cluster/resources`` and ``/nodes`` show it; ``figures``: also load and sizes."""
    columns = state.node_columns(node)
    entry: Entry = {"id": f"node/{node}", "type": "node", "node": node, "level": state.level(node)}
    entry["status"] = "offline" if not online else "unknown" if columns is None else "online"
    if columns is None:
        return entry
    if figures:
        told = _numbers(columns, _NODE_COLUMNS)
        entry.update({key: value for key, value in told.items() if online or key in _CAPACITY})
    return entry


def _guest_entry(state: State, vmid: int, pool: str | None) -> Entry:
    guest = state.guests[vmid]
    columns = state.guest_columns(vmid) or ()
    properties = state.properties.get(vmid, {})
    entry: Entry = {"id": f"{guest.kind}/{vmid}", "type": guest.kind, "vmid": vmid, "node": guest.node}
    entry["name"] = properties.get("name") or properties.get("hostname") or _column(columns, _GUEST_NAME)
    entry["name"] = entry["name"] or str(vmid)
    entry["status"] = _column(columns, _GUEST_STATUS) or "unknown"
    template = _column(columns, _GUEST_TEMPLATE) or properties.get("template")
    entry["template"] = int(template == "1")
    entry.update(_numbers(columns, _GUEST_COLUMNS))
    for key in ("lock", "tags"):
        if properties.get(key):
            entry[key] = properties[key]
    if pool is not None:
        entry["pool"] = pool
    return entry


def _storage_entry(state: State, node: str, name: str, storage: Storage, *, online: bool) -> Entry:
    columns = state.storage_columns(node, name)
    return {
        "id": f"storage/{node}/{name}",
        "type": "storage",
        "node": node,
        "storage": name,
        "status": "available" if online and columns is not None else "unknown",
        "plugintype": storage.kind,
        "content": storage.content,
        "shared": int(storage.shared),
        **_numbers(columns or (), _STORAGE_COLUMNS),
    }


def _network_entry(node: str, *, online: bool) -> Entry:
    return {
        "id": f"network/{node}/zone/{LOCAL_NETWORK}",
        "type": "network",
        "node": node,
        "network": LOCAL_NETWORK,
        "network-type": "zone",
        "status": "ok" if online else "unknown",
    }


def build(state: State, pools: Mapping[str, str | None], pool_of: Mapping[str, str]) -> list[Resource]:
    """All entries. ``pools``: name and comment; ``pool_of``: guest number -> pool."""
    return list(_all_entries(state, pools, pool_of))


def _all_entries(
    state: State, pools: Mapping[str, str | None], pool_of: Mapping[str, str]
) -> Iterator[Resource]:
    for name in sorted(pools):
        yield _resource("pool", f"/pool/{name}", ("Pool.Audit",), _pool_entry(name))
    for vmid in sorted(state.guests):
        entry = _guest_entry(state, vmid, pool_of.get(str(vmid)))
        yield _resource("vm", f"/vms/{vmid}", ("VM.Audit",), entry)
    nodes = state.nodes()
    for node, online in sorted(nodes.items()):
        full = node_entry(state, node, online=online, figures=True)
        reduced = node_entry(state, node, online=online, figures=False)
        yield _resource("node", f"/nodes/{node}", ("Sys.Audit",), full, reduced)
    for name, storage in sorted(state.storages.items()):
        for node, online in sorted(nodes.items()):
            if not storage.disabled and (storage.nodes is None or node in storage.nodes):
                entry = _storage_entry(state, node, name, storage, online=online)
                yield _resource("storage", f"/storage/{name}", ("Datastore.Audit",), entry)
    for node, online in sorted(nodes.items()):
        entry = _network_entry(node, online=online)
        yield _resource("sdn", f"/sdn/zones/{LOCAL_NETWORK}", ("SDN.Audit", "SDN.Use"), entry)


def _pool_entry(name: str) -> Entry:
    return {"id": f"/pool/{name}", "type": "pool", "pool": name}


def _resource(
    kind: str, path: str, privileges: tuple[str, ...], entry: Entry, reduced: Entry | None = None
) -> Resource:
    return Resource(kind, path, privileges, _encode(entry), None if reduced is None else _encode(reduced))


def _encode(entry: Entry) -> str:
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":"))


def _numbers(columns: object, wanted: Mapping[str, int]) -> dict[str, object]:
    """The named columns that are numbers; the others are unknown and left out."""
    assert isinstance(columns, tuple | list)
    found = {key: number(columns[index]) for key, index in wanted.items() if index < len(columns)}
    return {key: value for key, value in found.items() if value is not None}


def _column(columns: object, index: int) -> str:
    assert isinstance(columns, tuple | list)
    return columns[index] if index < len(columns) and columns[index] != "U" else ""


# -- lists ----------------------------------------------------------------------------------------------


class ResourceLists:
    """Every user's list of the present state, kept while nothing changes."""

    def __init__(self, replicated: Replicated, directory: Directory) -> None:
        self._replicated = replicated
        self._directory = directory
        self._lock = threading.Lock()
        self._key: tuple[int, UserConfig] | None = None
        self._resources: list[Resource] = []
        self._lists: OrderedDict[tuple[str, str | None], Encoded] = OrderedDict()

    def of(self, user: str, kind: str | None) -> Encoded:
        """What ``user`` may see of one kind, or of all. Raises CfsError."""
        state = self._replicated.state()
        users = self._directory.users
        with self._lock:
            if self._key is None or self._key[0] != state.serial or self._key[1] is not users:
                pool_of = {vmid: name for name, pool in users.pools.items() for vmid in pool.vms}
                pools = {name: pool.comment for name, pool in users.pools.items()}
                self._resources = build(state, pools, pool_of)
                self._lists.clear()
                self._key = (state.serial, users)
            found = self._lists.get((user, kind))
            if found is None:
                found = self._lists[user, kind] = self._make(user, kind)
                if len(self._lists) > MAX_LISTS:
                    self._lists.popitem(last=False)
            else:
                self._lists.move_to_end((user, kind))
            return found

    def _make(self, user: str, kind: str | None) -> Encoded:
        may: Callable[[str, tuple[str, ...]], bool] = lru_cache(maxsize=None)(
            lambda path, privileges: user == ROOT or self._directory.may(user, path, *privileges)
        )
        texts = [
            text
            for entry in self._resources
            if (kind is None or entry.kind == kind)
            and (text := entry.text if may(entry.path, entry.privileges) else entry.reduced) is not None
        ]
        return Encoded(f"[{','.join(texts)}]".encode("utf-8", "replace"))


@lru_cache(maxsize=8)
def lists_of(settings: Settings) -> ResourceLists:
    """The one of these settings in this process."""
    return ResourceLists(replicated_of(settings), directory_of(settings))


def _resources(ctx: Context, type: str | None = None) -> Encoded:  # noqa: A002 - the parameter's name
    try:
        return lists_of(ctx.settings).of(ctx.user, type)
    except CfsError as err:
        raise ApiError(500, str(err)) from err


# -- declarations ---------------------------------------------------------------------------------------


def _figure(text: str, unit: Unit | None = None) -> Number:
    return Number(description=text, unit=unit, optional=True)


USAGE: Final = {
    "uptime": Integer(description="Seconds since it started.", unit="seconds", optional=True),
    "maxcpu": _figure("Processors."),
    "cpu": _figure("Load of the processors, 0 to 1.", "fraction"),
    "maxmem": Integer(description="Bytes of memory.", unit="bytes", optional=True),
    "mem": Integer(description="Bytes of memory in use.", unit="bytes", optional=True),
    "maxdisk": Integer(
        description="Bytes of the root file system, disk or storage.", unit="bytes", optional=True
    ),
    "disk": Integer(description="Bytes in use there.", unit="bytes", optional=True),
}
"""Figures of a node; unknown ones are left out."""

_TEXTS: Final = {
    "node": "The node it is on.",
    "pool": "The pool it belongs to.",
    "name": "Name of a guest.",
    "lock": "Why a guest is locked.",
    "tags": "Tags of a guest.",
    "storage": "Name of a storage.",
    "plugintype": "Kind of a storage.",
    "content": "What a storage may hold.",
    "level": "Level of a node's subscription.",
    "network": "Name of a network.",
    "network-type": "What kind of network it is: zone.",
}

OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/cluster/resources",
        name="resources",
        description="All pools, guests, nodes, storages and networks with their figures, as this node was"
        " told of them: members and guests at once, figures every 10 s by each node.",
        handler=_resources,
        parameters={
            "type": String(description="Only of this kind; sdn: networks.", enum=TYPES, optional=True),
        },
        returns=Array(
            items=Object(
                properties={
                    "id": String(description="Unique name, e.g. node/n1 or qemu/100."),
                    "type": String(
                        description="What it is.",
                        enum=("node", "storage", "pool", "qemu", "lxc", "openvz", "sdn", "network"),
                    ),
                    "status": String(description="E.g. online, offline, running, available.", optional=True),
                    **{key: String(description=text, optional=True) for key, text in _TEXTS.items()},
                    "vmid": Integer(description="Number of a guest.", optional=True),
                    "template": Integer(
                        description="Whether a guest is a template.", enum=(0, 1), optional=True
                    ),
                    "shared": Integer(
                        description="Whether all nodes see the same.", enum=(0, 1), optional=True
                    ),
                    **USAGE,
                    "netin": _figure("Bytes received.", "bytes"),
                    "netout": _figure("Bytes sent.", "bytes"),
                    "diskread": _figure("Bytes read.", "bytes"),
                    "diskwrite": _figure("Bytes written.", "bytes"),
                }
            )
        ),
        permission=All(
            note="Shown are guests with VM.Audit on /vms/ID, storages with Datastore.Audit on /storage/ID,"
            " pools with Pool.Audit on /pool/POOL, networks with SDN.Audit or SDN.Use on /sdn/zones/ZONE,"
            " every node; its figures with Sys.Audit on /nodes/NODE."
        ),
    )
]
