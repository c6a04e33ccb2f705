"""``/cluster/status``, ``/cluster/nextid`` (pvecm 6.6). Every other part of the subtree has its own file."""

from __future__ import annotations

import json
import socket
from typing import Any, Final

from quorate.api.cluster_options import options_of
from quorate.cfs import Cfs, CfsError
from quorate.datacenter import id_range
from quorate.replicated import State, replicated_of
from quorate.schema import (
    ALL,
    VERIFICATION_FAILED,
    ApiError,
    Array,
    Check,
    Context,
    Integer,
    Object,
    Operation,
    String,
)


def _status(ctx: Context) -> list[dict[str, object]]:
    try:
        found: dict[str, Any] = json.loads(Cfs(ctx.settings).read(".members"))
    except (CfsError, FileNotFoundError, ValueError) as err:
        raise ApiError(500, f"unable to read the member list - {err}") from err
    cluster = found.get("cluster")
    state = _figures(ctx)
    if not cluster:
        entry = _node(ctx, state, ctx.node, 0, online=1, ip=_own_address(ctx.node))
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
        result.append(_node(ctx, state, name, int(member["id"]), int(member["online"]), member.get("ip")))
    return result


def _figures(ctx: Context) -> State | None:
    """Who is a member is told also while the daemon does not tell the rest."""
    try:
        return replicated_of(ctx.settings).state()
    except CfsError:
        return None


def _node(
    ctx: Context, state: State | None, name: str, nodeid: int, online: int, ip: str | None
) -> dict[str, object]:
    entry: dict[str, object] = {
        "type": "node",
        "id": f"node/{name}",
        "name": name,
        "nodeid": nodeid,
        "local": int(name == ctx.node),
        "online": online,
        "level": state.level(name) if state is not None else "",
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
            raise ApiError(400, VERIFICATION_FAILED, {"vmid": f"VM {vmid} already exists"})
        return vmid
    lower, upper = id_range(options_of(ctx.settings))
    for number in range(lower, upper):
        if str(number) not in used:
            return str(number)
    raise ApiError(500, f"unable to get any free VMID in range [{lower}, {upper}]")


OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/cluster/status",
        name="get_status",
        description="Quorum and members: one entry for the cluster, if there is one, and one for each node.",
        handler=_status,
        returns=Array(
            items=Object(
                properties={
                    "type": String(description="What the entry is.", enum=("cluster", "node")),
                    "id": String(description="'cluster' or node/NAME."),
                    "name": String(description="Name of the cluster or node."),
                    "version": Integer(description="Of corosync.conf (cluster).", optional=True),
                    "nodes": Integer(description="How many there are (cluster).", optional=True),
                    "quorate": Integer(
                        description="Whether changes are possible.", enum=(0, 1), optional=True
                    ),
                    "nodeid": Integer(description="0 without a cluster (node).", optional=True),
                    "ip": String(description="Address, if it is known (node).", optional=True),
                    "local": Integer(
                        description="Whether it is the node that answers.", enum=(0, 1), optional=True
                    ),
                    "online": Integer(description="Whether it is there (node).", enum=(0, 1), optional=True),
                    "level": String(description="Of the subscription: empty (node).", optional=True),
                }
            )
        ),
        permission=Check("/", ("Sys.Audit",)),
    ),
    Operation(
        method="GET",
        path="/cluster/nextid",
        name="nextid",
        description="The next free guest number, or whether a given one is free.",
        handler=_next_id,
        parameters={"vmid": String(description="The number to look at.", format="pve-vmid", optional=True)},
        returns=String(description="The free number, as text."),
        permission=ALL,
    ),
]
