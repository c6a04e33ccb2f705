"""The operations below /cluster/config (pvecm 6.5): declarations and the few lines that call cluster/.

The command line derives the options of pvecm from the same declarations. What costs time to load is loaded
when an operation runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from quorate.formats import FINGERPRINT_PATTERN
from quorate.schema import (
    ROOT_ONLY,
    AnyValue,
    ApiError,
    Array,
    Boolean,
    Check,
    Context,
    Integer,
    Object,
    Operation,
    Parameter,
    PropertyString,
    String,
    indexed,
)
from quorate.settings import JOIN_API_VERSION

if TYPE_CHECKING:
    from quorate.cluster.create import CreateRequest
    from quorate.cluster.host import Host
    from quorate.cluster.join import JoinRequest
    from quorate.corosync.conf_edit import Link, NewNode

MAX_PASSWORD: Final = 128
MAX_CLUSTER_NAME: Final = 15
LINK_COUNT: Final = 8

AUDIT: Final = Check("/", ("Sys.Audit",))

LINK: Final = PropertyString(
    description="Address and priority information of a single corosync link."
    " (up to 8 links supported; link0..link7)",
    optional=True,
    default_key="address",
    keys={
        "address": String(
            format="address", typetext="<IP>", description="Hostname (or IP) of this corosync link address."
        ),
        "priority": Integer(
            minimum=0,
            maximum=255,
            optional=True,
            typetext="<integer>",
            description="The priority for the link when knet is used in 'passive' mode (default)."
            " Lower value means lower priority.",
        ),
    },
)
NODEID: Final = Integer(minimum=1, optional=True, description="Node id for this node.")
NODE: Final = String(format="pve-node", description="The cluster node name.")
FORCE: Final = Boolean(optional=True, description="Do not throw error if node already exists.")
LINKS: Final[dict[str, Parameter]] = indexed("link", LINK_COUNT, LINK)


# -- handlers -------------------------------------------------------------------------------------------


def _index(_ctx: Context) -> list[dict[str, str]]:
    return [{"name": name} for name in ("nodes", "totem", "join", "qdevice", "apiversion")]


def _create(ctx: Context, **params: Any) -> str:
    from quorate.cluster.create import assert_not_clustered, create_cluster
    from quorate.tasks import start_worker

    host = host_of(ctx)
    _refusing(assert_not_clustered, host)
    request = create_request(params)
    return str(
        start_worker(
            "clustercreate",
            request.cluster_name,
            ctx.user,
            lambda _upid: create_cluster(host, request),
            ctx.settings,
        )
    )


def _apiversion(_ctx: Context) -> int:
    return JOIN_API_VERSION


def _nodes(ctx: Context) -> object:
    from quorate.cluster import membership

    return _refusing(membership.nodes, host_of(ctx))


def _add_node(ctx: Context, **params: Any) -> dict[str, object]:
    from quorate.cluster import membership

    admitted = _refusing(membership.add, host_of(ctx), new_node(params))
    # Every byte travels as one code point below 256: both files survive JSON as they are (pvecm 3.4).
    return {
        "corosync_authkey": admitted.authkey.decode("latin-1"),
        "corosync_conf": admitted.conf.decode("latin-1"),
        "warnings": admitted.warnings,
    }


def _delete_node(ctx: Context, node: str, takeback: bool = False) -> None:
    from quorate.cluster import membership

    _refusing(membership.remove, host_of(ctx), node, take_back=takeback)


def _join_info(ctx: Context, node: str | None = None) -> object:
    from quorate.cluster import membership

    return _refusing(membership.join_info, host_of(ctx), node)


def _join(ctx: Context, hostname: str, fingerprint: str, password: str, **params: Any) -> str:
    from quorate.cluster.join import join
    from quorate.cluster.peer import Peer
    from quorate.tasks import start_worker

    host = host_of(ctx)
    request = join_request(hostname, params)
    peer = Peer(hostname, pin=fingerprint)
    return str(
        start_worker(
            "clusterjoin", "", ctx.user, lambda _upid: join(host, request, peer, password), ctx.settings
        )
    )


def _totem(ctx: Context) -> object:
    from quorate.cluster import membership

    return _refusing(membership.totem, host_of(ctx))


def _qdevice(ctx: Context) -> object:
    from quorate.cluster.qdevice import daemon_status

    return _refusing(daemon_status, host_of(ctx))


# -- shared with the command line -----------------------------------------------------------------------


def host_of(ctx: Context) -> Host:
    from quorate.cluster.host import Host

    return Host(settings=ctx.settings, node=ctx.node)


def links_of(params: Mapping[str, Any]) -> dict[int, Link]:
    """The ``linkN`` among checked parameters."""
    from quorate.corosync.conf_edit import Link

    links = {}
    for key, value in params.items():
        match = re.fullmatch(r"link([0-7])", key)
        if match:
            links[int(match[1])] = Link(value["address"], value.get("priority"))
    return links


def create_request(params: Mapping[str, Any]) -> CreateRequest:
    from quorate.cluster.create import DEFAULT_TOKEN_COEFFICIENT, CreateRequest

    return CreateRequest(
        cluster_name=params["clustername"],
        links=links_of(params),
        nodeid=params.get("nodeid"),
        votes=params.get("votes"),
        token_coefficient=params.get("token_coefficient", DEFAULT_TOKEN_COEFFICIENT),
    )


def join_request(hostname: str, params: Mapping[str, Any]) -> JoinRequest:
    from quorate.cluster.join import JoinRequest

    return JoinRequest(
        hostname=hostname,
        links=links_of(params),
        nodeid=params.get("nodeid"),
        votes=params.get("votes"),
        force=params.get("force", False),
    )


def new_node(params: Mapping[str, Any]) -> NewNode:
    from quorate.corosync.conf_edit import NewNode

    return NewNode(
        name=params["node"],
        links=links_of(params),
        nodeid=params.get("nodeid"),
        votes=params.get("votes"),
        fallback_ip=params.get("new_node_ip"),
        api_version=params.get("apiversion", 0),
        force=params.get("force", False),
    )


def _refusing(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call, and make of a refusal what HTTP clients know."""
    from quorate.cfs import CfsError
    from quorate.cluster.commands import CommandError
    from quorate.cluster.host import ClusterError
    from quorate.cluster.membership import NotClusteredError, RefusedError

    try:
        return call(*args, **kwargs)
    except NotClusteredError as e:
        raise ApiError(424, str(e)) from e
    except RefusedError as e:
        raise ApiError(500, str(e), e.errors or None) from e
    except (ClusterError, CfsError, CommandError) as e:
        raise ApiError(500, str(e)) from e


# -- declarations ---------------------------------------------------------------------------------------

_UPID: Final = String(description="Identifier of the task.")
_NODE_ENTRY: Final = Object(
    properties={
        "name": String(description="Its name."),
        "node": String(description="The same.", optional=True),
        "nodeid": String(description="Its number.", optional=True),
        "quorum_votes": String(description="Its votes.", optional=True),
        **{
            f"ring{number}_addr": String(description="Address on this link.", optional=True)
            for number in range(LINK_COUNT)
        },
    },
    additional=String(),
)
_TOTEM: Final = Object(
    description="Section totem of corosync.conf.",
    properties={
        "cluster_name": String(description="Name of the cluster.", optional=True),
        "config_version": String(description="Version of corosync.conf.", optional=True),
        "interface": Object(description="Links by number.", additional=AnyValue(), optional=True),
    },
    additional=AnyValue(),
)
INDEX: Final = Operation(
    method="GET",
    path="/cluster/config",
    name="index",
    description="Directory index.",
    returns=Array(items=Object(properties={"name": String(description="Name of the part.")}), link="{name}"),
    permission=AUDIT,
    handler=_index,
)
CREATE: Final = Operation(
    method="POST",
    path="/cluster/config",
    name="create",
    description="Generate new cluster configuration."
    " If no links given, default to local IP address as link0.",
    parameters={
        "clustername": String(
            format="pve-node", max_length=MAX_CLUSTER_NAME, description="The name of the cluster."
        ),
        "nodeid": NODEID,
        "votes": Integer(minimum=1, optional=True, description="Number of votes for this node."),
        **LINKS,
        "token-coefficient": Integer(
            minimum=0,
            optional=True,
            default=125,
            description="Milliseconds by which the token timeout grows with every node beyond the second.",
        ),
    },
    returns=_UPID,
    permission=ROOT_ONLY,
    protected=True,
    handler=_create,
)
APIVERSION: Final = Operation(
    method="GET",
    path="/cluster/config/apiversion",
    name="join_api_version",
    description="Return the version of the cluster join API available on this node.",
    returns=Integer(description="The version."),
    permission=AUDIT,
    handler=_apiversion,
)
NODES: Final = Operation(
    method="GET",
    path="/cluster/config/nodes",
    name="nodes",
    description="Corosync node list.",
    returns=Array(items=_NODE_ENTRY),
    permission=AUDIT,
    handler=_nodes,
)
ADD_NODE: Final = Operation(
    method="POST",
    path="/cluster/config/nodes/{node}",
    name="addnode",
    description="Adds a node to the cluster configuration. This call is for internal use.",
    parameters={
        "node": NODE,
        "nodeid": NODEID,
        "votes": Integer(minimum=0, optional=True, description="Number of votes for this node"),
        "force": FORCE,
        **LINKS,
        "new_node_ip": String(
            format="ip",
            optional=True,
            description="IP Address of node to add. Used as fallback if no links are given.",
        ),
        "apiversion": Integer(optional=True, description="The JOIN_API_VERSION of the new node."),
    },
    returns=Object(
        properties={
            "corosync_authkey": String(description="The key; every byte is one character below 256."),
            "corosync_conf": String(description="The configuration; every byte is one character below 256."),
            "warnings": Array(description="What the joining node is to be told.", items=String()),
        }
    ),
    permission=ROOT_ONLY,
    protected=True,
    handler=_add_node,
)
DELETE_NODE: Final = Operation(
    method="DELETE",
    path="/cluster/config/nodes/{node}",
    name="delnode",
    description="Removes a node from the cluster configuration.",
    parameters={
        "node": NODE,
        "takeback": Boolean(
            optional=True,
            description="Asked for by a node whose own join failed: removes its entry also where the cluster"
            " lost its quorum by the addition, if all the other nodes are online.",
        ),
    },
    permission=ROOT_ONLY,
    protected=True,
    handler=_delete_node,
)
JOIN_INFO: Final = Operation(
    method="GET",
    path="/cluster/config/join",
    name="join_info",
    description="Get information needed to join this cluster over the connected node.",
    parameters={
        "node": String(
            format="pve-node",
            optional=True,
            description="The node for which the joinee gets the nodeinfo.",
        )
    },
    returns=Object(
        properties={
            "nodelist": Array(
                description="Every node.",
                items=Object(
                    properties={
                        **_NODE_ENTRY.properties,
                        "pve_addr": String(description="Its address as a member."),
                        "pve_fp": String(description="SHA-256 of its web server's certificate."),
                    },
                    additional=String(),
                ),
            ),
            "preferred_node": String(description="The node to join through."),
            "totem": _TOTEM,
            "config_digest": String(description="SHA-1 of corosync.conf."),
        }
    ),
    permission=AUDIT,
    handler=_join_info,
)
JOIN: Final = Operation(
    method="POST",
    path="/cluster/config/join",
    name="join",
    description="Joins this node into an existing cluster. If no links are given, default to IP resolved by"
    " node's hostname on single link (fallback fails for clusters with multiple links).",
    parameters={
        "hostname": String(description="Hostname (or IP) of an existing cluster member."),
        "fingerprint": String(pattern=FINGERPRINT_PATTERN, description="Certificate SHA 256 fingerprint."),
        "password": String(max_length=MAX_PASSWORD, description="Superuser (root) password of peer node."),
        "nodeid": NODEID,
        "votes": Integer(minimum=0, optional=True, description="Number of votes for this node"),
        "force": FORCE,
        **LINKS,
    },
    returns=_UPID,
    permission=ROOT_ONLY,
    protected=True,
    handler=_join,
)
TOTEM: Final = Operation(
    method="GET",
    path="/cluster/config/totem",
    name="totem",
    description="Get corosync totem protocol settings.",
    returns=Object(
        description="Section totem of corosync.conf; null without a cluster.",
        properties=_TOTEM.properties,
        additional=AnyValue(),
        nullable=True,
    ),
    permission=AUDIT,
    handler=_totem,
)
QDEVICE: Final = Operation(
    method="GET",
    path="/cluster/config/qdevice",
    name="status",
    description="Get QDevice status",
    returns=Object(
        description="What its daemon says; empty where it does not run (is one configured: /cluster/quorum).",
        properties={
            name: String(optional=True)
            for name in (
                *("Algorithm", "Echo reply", "Last poll call", "Model", "QNetd host", "State"),
                "Tie-breaker",
            )
        },
    ),
    permission=AUDIT,
    protected=True,
    handler=_qdevice,
)

OPERATIONS: Final = (
    INDEX,
    CREATE,
    APIVERSION,
    NODES,
    ADD_NODE,
    DELETE_NODE,
    JOIN_INFO,
    JOIN,
    TOTEM,
    QDEVICE,
)
