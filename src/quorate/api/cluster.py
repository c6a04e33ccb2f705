"""``/cluster/status`` and ``/cluster/nextid`` (pvecm 6.6). The configuration subtree is `cluster_config`."""

from __future__ import annotations

import json
import re
import socket
from typing import Any, Final

from quorate.cfs import Cfs, CfsError
from quorate.schema import ALL, ApiError, Check, Context, Operation, String

DEFAULT_LOWER: Final = 100
DEFAULT_UPPER: Final = 1_000_000


def _status(ctx: Context) -> list[dict[str, object]]:
    try:
        found: dict[str, Any] = json.loads(Cfs(ctx.settings).read(".members"))
    except (CfsError, FileNotFoundError, ValueError) as err:
        raise ApiError(500, f"unable to read the member list - {err}") from err
    cluster = found.get("cluster")
    if not cluster:
        entry = _node(ctx, ctx.node, 0, online=1, ip=_own_address(ctx.node))
        return [entry]
    result: list[dict[str, object]] = [
        {
            "type": "cluster",
            "id": "cluster",
            "name": cluster.get("name"),
            "version": int(cluster.get("version", 0)),
            "nodes": int(cluster.get("nodes", 0)),
            "quorate": int(cluster.get("quorate", 0)),
        }
    ]
    for name, member in sorted((found.get("nodelist") or {}).items()):
        result.append(_node(ctx, name, int(member["id"]), int(member["online"]), member.get("ip")))
    return result


def _node(ctx: Context, name: str, nodeid: int, online: int, ip: str | None) -> dict[str, object]:
    entry: dict[str, object] = {
        "type": "node",
        "id": f"node/{name}",
        "name": name,
        "nodeid": nodeid,
        "local": int(name == ctx.node),
        "online": online,
        "level": "",
    }
    if ip is not None:
        entry["ip"] = ip
    return entry


def _own_address(node: str) -> str | None:
    try:
        return str(socket.getaddrinfo(node, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        return None


def _next_id(ctx: Context, vmid: str | None = None) -> str:
    try:
        used = {str(number) for number in Cfs(ctx.settings).guests()}
    except CfsError as err:
        raise ApiError(500, str(err)) from err
    if vmid is not None:
        if vmid in used:
            raise ApiError(400, "Parameter verification failed.", {"vmid": f"VM {vmid} already exists"})
        return vmid
    lower, upper = _id_range(ctx)
    for number in range(lower, upper):
        if str(number) not in used:
            return str(number)
    raise ApiError(500, f"unable to get any free VMID in range [{lower}, {upper}]")


def _id_range(ctx: Context) -> tuple[int, int]:
    try:
        text = (ctx.settings.mountpoint / "datacenter.cfg").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        text = ""
    line = re.search(r"^next-id:(.*)$", text, re.MULTILINE)
    values = dict(re.findall(r"(lower|upper)=(\d+)", line[1])) if line else {}
    return int(values.get("lower", DEFAULT_LOWER)), int(values.get("upper", DEFAULT_UPPER))


OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/cluster/status",
        name="get_status",
        description="Quorum and members of the cluster.",
        handler=_status,
        returns="array",
        permission=Check("/", ("Sys.Audit",)),
        protected=True,
    ),
    Operation(
        method="GET",
        path="/cluster/nextid",
        name="nextid",
        description="The next free guest number, or whether a given one is free.",
        handler=_next_id,
        parameters={"vmid": String(description="The number to look at.", format="pve-vmid", optional=True)},
        returns="string",
        permission=ALL,
    ),
]
