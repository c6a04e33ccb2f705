"""``rrddata`` and ``rrd``: figures of a node, its guests and storages over time (pvecm 6.8)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from quorate.api.node_status import AUDIT
from quorate.api.nodes import NODE
from quorate.api.results import Image
from quorate.cfs import Cfs, CfsError
from quorate.host.graph import draw, unknown_sources
from quorate.host.history import (
    FUNCTIONS,
    TIMEFRAMES,
    HistoryError,
    Subject,
    history,
    of_guest,
    of_node,
    of_storage,
)
from quorate.schema import (
    VERIFICATION_FAILED,
    ApiError,
    Array,
    Check,
    Context,
    Integer,
    Number,
    Object,
    Operation,
    Parameter,
    Permission,
    String,
)

Find = Callable[..., Subject]
"""``find(ctx, node, ...)``: whose figures, from the path's parameters. Raises ApiError."""


def _node(ctx: Context, node: str) -> Subject:
    return of_node(node)


def _guest(kind: str, directory: str) -> Find:
    def find(ctx: Context, node: str, vmid: str) -> Subject:
        try:
            guest = Cfs(ctx.settings).guests().get(int(vmid))
        except CfsError as err:
            raise ApiError(500, str(err)) from err
        if guest is None or (guest.kind, guest.node) != (kind, node):
            text = f"Configuration file 'nodes/{node}/{directory}/{vmid}.conf' does not exist"
            raise ApiError(500, text)
        return of_guest(int(vmid))

    return find


def _storage(ctx: Context, node: str, storage: str) -> Subject:
    return of_storage(node, storage)


def _data(find: Find) -> Callable[..., object]:
    def handler(ctx: Context, timeframe: str, cf: str = "AVERAGE", **place: str) -> list[dict[str, object]]:
        try:
            return history(ctx.settings, find(ctx, **place), timeframe, cf, time.time())
        except HistoryError as err:
            raise ApiError(500, str(err)) from err

    return handler


def _graph(find: Find) -> Callable[..., object]:
    def handler(ctx: Context, timeframe: str, ds: list[str], cf: str = "AVERAGE", **place: str) -> Image:
        subject = find(ctx, **place)
        sources = list(dict.fromkeys(ds))
        if not sources or (unknown := unknown_sources(subject, sources)):
            known = ", ".join(subject.kind.sources)
            problem = f"there is no data source '{unknown[0]}'" if sources else "which data sources?"
            raise ApiError(400, VERIFICATION_FAILED, {"ds": f"{problem}; known are {known}"})
        try:
            graph = draw(ctx.settings, subject, sources, timeframe, cf, time.time())
        except HistoryError as err:
            raise ApiError(500, str(err)) from err
        return Image(str(graph.path), graph.content)

    return handler


# -- declarations ---------------------------------------------------------------------------------------

_PRESSURE: Final = {
    "pressurecpusome": "Percent of the time in which some work waited for processors.",
    "pressureiosome": "... for disks.",
    "pressureiofull": "... in which all did.",
    "pressurememorysome": "Percent of the time in which some work waited for memory.",
    "pressurememoryfull": "... in which all did.",
}
_NODE_TEXTS: Final = {
    "loadavg": "Load of the last minute.",
    "maxcpu": "Processors.",
    "cpu": "Load of the processors, 0 to 1.",
    "iowait": "Share of the time in which they waited for disks.",
    "memtotal": "Bytes of memory.",
    "memused": "Bytes in use.",
    "memavailable": "Bytes available.",
    "arcsize": "Bytes of ZFS's cache.",
    "swaptotal": "Bytes of swap space.",
    "swapused": "Bytes in use.",
    "roottotal": "Bytes of the root file system.",
    "rootused": "Bytes in use.",
    "netin": "Bytes per second received.",
    "netout": "Bytes per second sent.",
    **_PRESSURE,
}
_GUEST_TEXTS: Final = {
    "maxcpu": "Processors.",
    "cpu": "Load of the processors, 0 to 1.",
    "maxmem": "Bytes of memory.",
    "mem": "Bytes in use.",
    "memhost": "Bytes that it takes of the node's memory.",
    "maxdisk": "Bytes of its disk.",
    "disk": "Bytes in use there.",
    "netin": "Bytes per second received.",
    "netout": "Bytes per second sent.",
    "diskread": "Bytes per second read.",
    "diskwrite": "Bytes per second written.",
    "pressurecpufull": "Percent of the time in which all work waited for processors.",
    **_PRESSURE,
}
_STORAGE_TEXTS: Final = {"total": "Bytes of the storage.", "used": "Bytes in use."}

_TIME: Final[dict[str, Parameter]] = {
    "timeframe": String(
        description="hour, day: a point per minute; week, month: per half hour; year: per 6 hours;"
        " decade: per week.",
        enum=tuple(TIMEFRAMES),
    ),
    "cf": String(
        description="What a point says of its time.", enum=FUNCTIONS, default="AVERAGE", optional=True
    ),
}
_SOURCES: Final = String(
    description="Names of the figures to draw, as rrddata has them.",
    format="pve-configid-list",
    max_length=1024,
)
_VMID: Final = String(description="Number of the guest.", format="pve-vmid")
_STORAGE: Final = String(description="Name of the storage.", format="pve-storage-id", max_length=100)


def _both(
    path: str,
    whose: str,
    find: Find,
    place: Mapping[str, Parameter],
    texts: Mapping[str, str],
    permission: Permission,
) -> list[Operation]:
    points: dict[str, Parameter] = {
        "time": Integer(description="Epoch seconds.", unit="epoch"),
        **{key: Number(description=text, optional=True) for key, text in texts.items()},
    }
    return [
        Operation(
            method="GET",
            path=f"{path}/rrddata",
            name="rrddata",
            description=f"Figures of the {whose} over time, oldest first. What is not known is left out.",
            handler=_data(find),
            parameters={**place, **_TIME},
            returns=Array(items=Object(properties=points)),
            permission=permission,
            protected=True,
            proxyto_node=True,
        ),
        Operation(
            method="GET",
            path=f"{path}/rrd",
            name="rrd",
            description=f"Figures of the {whose} over time as a PNG image: by itself below /api2/png, else"
            " the name of the node's file that holds it. Needs librrd on the node.",
            handler=_graph(find),
            parameters={**place, "ds": _SOURCES, **_TIME},
            returns=Object(properties={"filename": String(description="The image, on the node.")}),
            permission=permission,
            protected=True,
            proxyto_node=True,
            is_image=True,
        ),
    ]


_GUEST_AUDIT: Final = Check("/vms/{vmid}", ("VM.Audit",))

OPERATIONS: Final = [
    *_both("/nodes/{node}", "node", _node, {"node": NODE}, _NODE_TEXTS, AUDIT),
    *_both(
        "/nodes/{node}/qemu/{vmid}",
        "virtual machine",
        _guest("qemu", "qemu-server"),
        {"node": NODE, "vmid": _VMID},
        _GUEST_TEXTS,
        _GUEST_AUDIT,
    ),
    *_both(
        "/nodes/{node}/lxc/{vmid}",
        "container",
        _guest("lxc", "lxc"),
        {"node": NODE, "vmid": _VMID},
        _GUEST_TEXTS,
        _GUEST_AUDIT,
    ),
    *_both(
        "/nodes/{node}/storage/{storage}",
        "storage",
        _storage,
        {"node": NODE, "storage": _STORAGE},
        _STORAGE_TEXTS,
        Check("/storage/{storage}", ("Datastore.Audit", "Datastore.AllocateSpace")),
    ),
]
