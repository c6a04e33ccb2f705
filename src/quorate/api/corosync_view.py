"""``/nodes/{node}/corosync/...`` and ``/cluster/quorum``: Corosync and its QDevice as one node sees them.

Additions of ours: the original's clients have nothing of the kind.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from quorate.api.nodes import NODE
from quorate.cfs import CfsError
from quorate.corosync.errors import CsError, MissingLibraryError
from quorate.corosync.links import read_links, read_quorum
from quorate.schema import (
    ApiError,
    Array,
    Boolean,
    Check,
    Context,
    Integer,
    Object,
    Operation,
    Parameter,
    String,
)

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
    device = _device(_configured(ctx), result.pop("qdevice", {}))
    return {**result, "qdevice": device} if device else result


def _device(configured: Mapping[str, object], seen: Mapping[str, object]) -> dict[str, object]:
    """The QDevice: what corosync.conf says of it, and what Corosync here sees of it. Empty: there is none."""
    if not configured.get("configured") and not seen:
        return {}
    return {"votes": 0, "registered": False, "alive": False, "votes_for_us": False, **configured, **seen}


def _configured(ctx: Context) -> dict[str, object]:
    """``configured``, and what corosync.conf says of the QDevice; empty where it cannot be read."""
    from quorate.cluster.host import ClusterError, Host
    from quorate.cluster.qdevice import configured

    try:
        device = configured(Host(settings=ctx.settings, node=ctx.node))
    except (ClusterError, CfsError) as err:
        # Votes are counted all the same
        _log.warning("whether a QDevice is configured is not known: %s", err)
        return {}
    return {"configured": device is not None, **(device or {})}


def _qdevice(ctx: Context, node: str) -> dict[str, Any]:
    from quorate.cluster.host import ClusterError, Host
    from quorate.cluster.qdevice import configured, daemon_status

    host = Host(settings=ctx.settings, node=ctx.node)
    try:
        device = configured(host)
        if device is None:
            return {"configured": False}
        daemon = daemon_status(host)
    except (ClusterError, CfsError) as err:
        raise ApiError(500, str(err)) from err
    known = _quorum(ctx).get("qdevice", {})
    return {name: value for name, value in known.items() if name in _DEVICE} | {"daemon": daemon}


def _count(text: str) -> Integer:
    return Integer(description=text, optional=True)


def _flag(text: str) -> Boolean:
    return Boolean(description=text, optional=True)


_DEVICE: Final[dict[str, Parameter]] = {
    "configured": _flag("corosync.conf has one; left out where it could not be read."),
    "model": String(description="Kind, e.g. net.", optional=True),
    "host": String(description="Where its server is.", optional=True),
    "algorithm": String(description="How it votes: ffsplit or lms.", optional=True),
    "votes": _count("Votes that it has."),
    "registered": _flag("Its daemon runs on the node that is asked, and has registered with Corosync."),
    "alive": _flag("Its daemon answers Corosync."),
    "votes_for_us": _flag("It gives its votes to the partition of the node that is asked."),
}
"""The same in ``/cluster/quorum`` and in a node's view of its device."""

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
                **_DEVICE,
                "configured": Boolean(description="corosync.conf has one. Without one nothing else is here."),
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
                    description="Where corosync.conf has one, or a daemon has registered with Corosync.",
                    optional=True,
                    properties={
                        **_DEVICE,
                        "votes": Integer(description="Votes that it has; 0 where that is not known."),
                        "name": String(description="As Corosync names it, once it knows it.", optional=True),
                        "master_wins": _flag("It alone decides."),
                    },
                ),
            }
        ),
        permission=Check("/", ("Sys.Audit",)),
        protected=True,
    ),
]
