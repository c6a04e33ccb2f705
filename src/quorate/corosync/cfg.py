"""Orders to the local Corosync: reload the configuration, kill a node, state of the links (libcfg)."""

from __future__ import annotations

from typing import Final, NamedTuple

from ._ffi import ffi
from ._service import Service
from .errors import CS_OK, error_for

NODE_STATUS_V1: Final = 1
MAX_LINKS: Final = 8


class Link(NamedTuple):
    """State of one link to a node; ``number`` is the link number of corosync.conf."""

    number: int
    enabled: bool
    connected: bool
    dynamic: bool
    mtu: int
    source: str
    destination: str


class NodeStatus(NamedTuple):
    nodeid: int
    reachable: bool
    remote: bool
    links: tuple[Link, ...]
    """The enabled links only."""


class Cfg(Service):
    """One connection to the configuration service. Raises LibraryError when Corosync does not run."""

    def __init__(self) -> None:
        super().__init__("libcfg.so.7", "corosync_cfg")
        handle = ffi.new("uint64_t *")
        code = self._lib.corosync_cfg_initialize(handle, ffi.NULL)
        if code != CS_OK:
            raise error_for("corosync_cfg_initialize", code)
        self._open(int(handle[0]))

    def local_nodeid(self) -> int:
        self._call("local_get", self._out)
        return int(self._out[0])

    def reload_config(self) -> None:
        """Make all nodes of the partition read their corosync.conf again; returns when this one has.

        Raises InvalidParamError when the file is faulty (the journal names the line) and then nothing
        has changed; run ``corosync.conf`` checks before.
        """
        self._call("reload_config")

    def kill_node(self, nodeid: int, reason: str) -> None:
        """Make Corosync on node ``nodeid`` exit."""
        self._call("kill_node", nodeid, reason.encode(), detail=f"node {nodeid}")

    def node_status(self, nodeid: int) -> NodeStatus:
        """Reachability and links of ``nodeid`` as seen from here; raises FailedOperationError
        for a node that is not configured."""
        raw = ffi.new("struct corosync_cfg_node_status_v1 *")
        self._call("node_status_get", nodeid, NODE_STATUS_V1, raw, detail=f"node {nodeid}")
        links = tuple(
            Link(
                number=number,
                enabled=bool(link.enabled),
                connected=bool(link.connected),
                dynamic=bool(link.dynconnected),
                mtu=int(link.mtu),
                source=ffi.string(link.src_ipaddr, 256).decode("ascii", "replace"),
                destination=ffi.string(link.dst_ipaddr, 256).decode("ascii", "replace"),
            )
            for number, link in enumerate(raw.link_status[i] for i in range(MAX_LINKS))
            if link.enabled
        )
        return NodeStatus(int(raw.nodeid), bool(raw.reachable), bool(raw.remote), links)
