"""``/nodes/{node}/corosync/...`` and ``/cluster/quorum``: Corosync and its QDevice as one node sees them.

Additions of ours: the original's clients have nothing of the kind.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from quorate.api.nodes import NODE
from quorate.cfs import CfsError
from quorate.corosync.errors import CsError, MissingLibraryError
from quorate.corosync.links import read_links, read_quorum
from quorate.schema import ApiError, Array, Boolean, Check, Context, Integer, Object, Operation, String

_log = logging.getLogger(__name__)

_HINT: Final = "does Corosync run (systemctl status corosync)?"


def _links(ctx: Context, node: str) -> list[dict[str, Any]]:
    if not ctx.settings.cluster_conf.exists():
        return []
    try:
        return read_links()
    except (CsError, MissingLibraryError) as err:
        raise ApiError(500, f"unable to read the state of the links - {err}; {_HINT}") from err


def _quorum(ctx: Context) -> dict[str, Any]:
    if not ctx.settings.cluster_conf.exists():
        # A node without a cluster decides alone.
        one = {"votes": 1, "expected": 1, "highest_expected": 1, "needed": 1, "spare": 0}
        return {"clustered": False, "quorate": True, **one, "flags": [], "nodes": []}
    try:
        result = {"clustered": True, **read_quorum()}
    except (CsError, MissingLibraryError) as err:
        raise ApiError(500, f"unable to read the state of the quorum - {err}; {_HINT}") from err
    device = _configured_qdevice(ctx)
    return result if device is None else {**result, "qdevice_configured": device}


def _configured_qdevice(ctx: Context) -> dict[str, object] | None:
    from quorate.cluster.host import ClusterError, Host
    from quorate.cluster.qdevice import configured

    try:
        return configured(Host(settings=ctx.settings, node=ctx.node))
    except (ClusterError, CfsError) as err:
        # Votes are counted all the same
        _log.warning("whether a QDevice is configured is not known: %s", err)
        return None


def _qdevice(ctx: Context, node: str) -> dict[str, Any]:
    from quorate.cfs import CfsError
    from quorate.cluster import conffile
    from quorate.cluster.host import ClusterError, Host
    from quorate.cluster.qdevice import daemon_status

    host = Host(settings=ctx.settings, node=ctx.node)
    try:
        device = conffile.read(host).quorum.get("device")
        if not isinstance(device, dict):
            return {"configured": False}
        result: dict[str, Any] = {"configured": True, "daemon": daemon_status(host)}
    except (ClusterError, CfsError) as err:
        raise ApiError(500, str(err)) from err
    net = device.get("net")
    for name, section in (("model", device), ("host", net), ("algorithm", net)):
        if isinstance(section, dict) and isinstance(value := section.get(name), str):
            result[name] = value
    seen = _quorum(ctx).get("qdevice", {})
    return result | {
        name: seen[name] for name in ("votes", "registered", "alive", "votes_for_us") if name in seen
    }


def _count(text: str) -> Integer:
    return Integer(description=text, optional=True)


def _flag(text: str) -> Boolean:
    return Boolean(description=text, optional=True)


OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/nodes/{node}/corosync/links",
        name="corosync_links",
        description="Every Corosync link from this node to the others and its state; none without a cluster."
        " Not of the original.",
        handler=_links,
        parameters={"node": NODE},
        returns=Array(
            items=Object(
                properties={
                    "node": String(description="The other node."),
                    "nodeid": Integer(description="Its id."),
                    "link": Integer(description="Number of the link, from 0."),
                    "address": String(description="The other node's address on it.", optional=True),
                    "local_address": String(description="This node's address on it.", optional=True),
                    "priority": Integer(description="The connected link with the highest one is used first."),
                    "enabled": Boolean(description="The link is in use by configuration."),
                    "connected": Boolean(description="The other node is reached over it."),
                    "latency": _count("Microseconds on average, there and back."),
                    "latency_min": _count("The least."),
                    "latency_max": _count("The most."),
                    "rx_total_bytes": _count("Bytes received."),
                    "tx_total_bytes": _count("Bytes sent."),
                    "tx_total_errors": _count("Packets that could not be sent."),
                    "up_count": _count("How often it came up."),
                    "down_count": _count("How often it went down."),
                    "mtu": _count("Largest packet."),
                }
            )
        ),
        permission=Check("/nodes/{node}", ("Sys.Audit",)),
        protected=True,
        proxyto_node=True,
    ),
    Operation(
        method="GET",
        path="/nodes/{node}/corosync/qdevice",
        name="corosync_qdevice",
        description="The cluster's QDevice as this node sees it. Not of the original.",
        handler=_qdevice,
        parameters={"node": NODE},
        returns=Object(
            properties={
                "configured": Boolean(description="The cluster's configuration has one."),
                "model": String(optional=True),
                "host": String(description="Where its server is.", optional=True),
                "algorithm": String(description="ffsplit or lms.", optional=True),
                "votes": _count("Votes that it has."),
                "registered": _flag("Its daemon runs on this node, and Corosync knows it."),
                "alive": _flag("It answers Corosync."),
                "votes_for_us": _flag("It gives its votes to this node's partition."),
                "daemon": Object(
                    description="What its daemon on this node says; empty where it does not run.",
                    additional=String(),
                    optional=True,
                ),
            }
        ),
        permission=Check("/nodes/{node}", ("Sys.Audit",)),
        protected=True,
        proxyto_node=True,
    ),
    Operation(
        method="GET",
        path="/cluster/quorum",
        name="quorum",
        description="The votes in numbers, as the node that is asked sees them. Not of the original.",
        handler=_quorum,
        returns=Object(
            properties={
                "clustered": Boolean(description="The node is in a cluster."),
                "quorate": Boolean(description="Changes are possible."),
                "votes": Integer(description="Votes present in this partition."),
                "expected": Integer(description="Votes of all nodes and the QDevice."),
                "highest_expected": Integer(description="The most that were expected so far."),
                "needed": Integer(description="Votes needed for changes."),
                "spare": Integer(description="Votes that may get lost before changes stop."),
                "flags": Array(description="E.g. TWO_NODE, WAIT_FOR_ALL, AUTO_TIE_BREAKER.", items=String()),
                "nodes": Array(
                    description="Every configured node.",
                    items=Object(
                        properties={
                            "name": String(),
                            "nodeid": Integer(),
                            "votes": Integer(),
                            "state": String(enum=("member", "dead", "leaving", "unknown")),
                        }
                    ),
                ),
                "qdevice": Object(
                    description="Where its daemon has registered with Corosync.",
                    optional=True,
                    properties={
                        "name": String(),
                        "votes": Integer(description="Votes that it has."),
                        "registered": Boolean(description="Its daemon runs on the node that is asked."),
                        "alive": Boolean(description="Its daemon answers Corosync."),
                        "votes_for_us": Boolean(description="It gives its votes to this partition."),
                        "master_wins": Boolean(description="It alone decides."),
                    },
                ),
                "qdevice_configured": Object(
                    description="Where corosync.conf has one, whether its daemon runs or not.",
                    optional=True,
                    properties={
                        "model": String(description="Kind, e.g. net."),
                        "host": String(description="Where its server is.", optional=True),
                        "algorithm": String(description="How it votes, e.g. ffsplit.", optional=True),
                        "votes": Integer(description="Its votes; all but one without.", optional=True),
                        "running": Boolean(description="Its daemon runs on this node."),
                    },
                ),
            }
        ),
        permission=Check("/", ("Sys.Audit",)),
        protected=True,
    ),
]
