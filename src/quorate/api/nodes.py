"""``/nodes``: the members, and what one node says of itself (pvecm 6.8). Tasks are in `tasks`."""

from __future__ import annotations

from typing import Final

from quorate.api.forward import certificate_digest
from quorate.api.root import version_info
from quorate.cfs import Cfs, CfsError
from quorate.schema import ALL, ApiError, Context, Operation, String

NODE: Final = String(description="The cluster node name.", format="pve-node")


def _nodes(ctx: Context) -> list[dict[str, object]]:
    try:
        members = Cfs(ctx.settings).members()
    except CfsError as err:
        raise ApiError(500, str(err)) from err
    states = {name: member.online for name, member in members.nodes.items()} or {ctx.node: True}
    result = []
    for name, online in sorted(states.items()):
        entry: dict[str, object] = {
            "node": name,
            "id": f"node/{name}",
            "type": "node",
            "status": "online" if online else "offline",
            "level": "",
        }
        try:
            digest = certificate_digest(ctx.settings.mountpoint / "nodes" / name)
            entry["ssl_fingerprint"] = digest.hex(":").upper()
        except ApiError:
            pass  # a node without a certificate is a node still
        result.append(entry)
    return result


def _version(ctx: Context, node: str) -> dict[str, str]:
    return version_info()


OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/nodes",
        name="index",
        description="The nodes of the cluster.",
        handler=_nodes,
        returns="array",
        permission=ALL,
    ),
    Operation(
        method="GET",
        path="/nodes/{node}/version",
        name="version",
        description="Version of the API on this node.",
        handler=_version,
        parameters={"node": NODE},
        returns="object",
        permission=ALL,
        proxyto_node=True,
    ),
]
