"""``/nodes``: the members with their figures (pvecm 6.8). What one node says of itself is in `node_*`."""

from __future__ import annotations

from typing import Final

from quorate.access.directory import directory_of
from quorate.api.cluster_resources import USAGE, node_entry
from quorate.api.fingerprints import certificate_digest
from quorate.api.root import VERSION_RESULT, version_info
from quorate.cfs import Cfs, CfsError, Members
from quorate.replicated import State, replicated_of
from quorate.schema import ALL, All, ApiError, Array, Context, Object, Operation, String

NODE: Final = String(description="The cluster node name.", format="pve-node")


def _nodes(ctx: Context) -> list[dict[str, object]]:
    state = _state(ctx)
    directory = directory_of(ctx.settings)
    result = []
    for name, online in sorted(state.nodes().items()):
        figures = directory.may(ctx.user, f"/nodes/{name}", "Sys.Audit")
        entry = node_entry(state, name, online=online, figures=figures)
        try:
            digest = certificate_digest(ctx.settings.mountpoint / "nodes" / name)
            entry["ssl_fingerprint"] = digest.hex(":").upper()
        except ApiError:
            pass  # a node without a certificate is a node still
        result.append(entry)
    return result


def _state(ctx: Context) -> State:
    """The members are told also while the daemon does not tell their figures."""
    try:
        return replicated_of(ctx.settings).state()
    except CfsError:
        pass
    try:
        members = Cfs(ctx.settings).members()
    except CfsError as err:
        raise ApiError(500, str(err)) from err
    return State(members=members if members.nodename else Members(ctx.node, 0))


def _version(ctx: Context, node: str) -> dict[str, str]:
    return version_info()


OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/nodes",
        name="index",
        description="The nodes of the cluster and their figures, as each told them last.",
        handler=_nodes,
        returns=Array(
            items=Object(
                properties={
                    "node": String(description="Its name."),
                    "id": String(description="node/NAME."),
                    "type": String(description="Always node.", enum=("node",)),
                    "status": String(
                        description="'unknown': it is there, but tells no figures.",
                        enum=("online", "offline", "unknown"),
                    ),
                    "level": String(description="Letter of its subscription, or nothing."),
                    "ssl_fingerprint": String(
                        description="SHA-256 over the certificate of its web server.", optional=True
                    ),
                    **USAGE,
                }
            ),
            link="{node}",
        ),
        permission=All(note="Figures of a node are shown with Sys.Audit on /nodes/NODE."),
    ),
    Operation(
        method="GET",
        path="/nodes/{node}/version",
        name="version",
        description="Version of the API on this node.",
        handler=_version,
        parameters={"node": NODE},
        returns=VERSION_RESULT,
        permission=ALL,
        proxyto_node=True,
    ),
]
