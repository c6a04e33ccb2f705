"""The cluster info object: who belongs to the cluster, from Corosync's map (status 1.13, 5.2; core 8.2).

``ClusterInfo`` is pure; ``read`` is the thin adapter over the map service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

NODES_PREFIX: Final = "nodelist.node."
CONFIG_VERSION: Final = "totem.config_version"
CLUSTER_NAME: Final = "totem.cluster_name"

Value = int | float | str | bytes


class ClusterInfoError(Exception):
    """Corosync's map does not describe a cluster; what was known before stays valid."""


class Node(NamedTuple):
    """A configured node."""

    nodeid: int
    name: str
    votes: int


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """Cluster name, configuration version (low 32 bits) and the configured nodes by id."""

    name: str
    version: int
    nodes: Mapping[int, Node]

    @classmethod
    def from_values(cls, values: Iterable[tuple[str, Value]]) -> ClusterInfo:
        """From the keys and values of Corosync's map; keys that mean nothing here are ignored.

        Nodes without id or name are left out. Raises ClusterInfoError when there is no cluster name.
        """
        name: Value | None = None
        version: Value = 0
        found: dict[str, dict[str, Value]] = {}
        for key, value in values:
            if key == CLUSTER_NAME:
                name = value
            elif key == CONFIG_VERSION:
                version = value
            elif key.startswith(NODES_PREFIX):
                index, _, field = key.removeprefix(NODES_PREFIX).partition(".")
                found.setdefault(index, {})[field] = value
        if not isinstance(name, str) or not name:
            raise ClusterInfoError(
                f"corosync's map has no {CLUSTER_NAME}: "
                "set 'cluster_name' in the section totem of corosync.conf"
            )
        nodes = (_node(fields) for fields in found.values())
        return cls(
            name,
            version & 0xFFFFFFFF if isinstance(version, int) else 0,
            {node.nodeid: node for node in nodes if node is not None},
        )

    def named(self, name: str) -> Node | None:
        """The node with this name."""
        return next((node for node in self.nodes.values() if node.name == name), None)


class Source(Protocol):
    """What ``read`` needs of ``corosync.cmap.Cmap``."""

    def find(self, key: str) -> Value | None: ...
    def iterate(self, prefix: str = "") -> list[tuple[str, Value]]: ...


def read(source: Source) -> ClusterInfo:
    """Read everything anew. Raises ClusterInfoError, and what the map service raises (CsError)."""
    values = source.iterate(NODES_PREFIX)
    for key in (CLUSTER_NAME, CONFIG_VERSION):
        value = source.find(key)
        if value is not None:
            values.append((key, value))
    return ClusterInfo.from_values(values)


def _node(fields: Mapping[str, Value]) -> Node | None:
    nodeid, votes = fields.get("nodeid"), fields.get("quorum_votes", 0)
    name = fields.get("name", fields.get("ring0_addr"))
    if not isinstance(nodeid, int) or not isinstance(name, str) or not name:
        return None
    return Node(nodeid, name, votes if isinstance(votes, int) else 0)
