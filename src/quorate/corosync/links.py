"""Links and votes as this node's Corosync sees them: its maps made into data. Pure but for `read_*`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from quorate.corosync.cmap import Cmap, Map, Value
from quorate.corosync.errors import NotExistError
from quorate.corosync.votequorum import QDEVICE_NODEID, Flag, Info, NodeState, Votequorum

_LINK: Final = re.compile(r"stats\.knet\.node(\d+)\.link(\d+)\.(\w+)")
_NODE: Final = re.compile(r"nodelist\.node\.(\d+)\.(\w+)")
_PRIORITY: Final = re.compile(r"totem\.interface\.(\d+)\.knet_link_priority")
_DEFAULT_PRIORITY: Final = 1
_COUNTERS: Final = ("rx_total_bytes", "tx_total_bytes", "tx_total_errors", "up_count", "down_count", "mtu")
_LATENCIES: Final = {
    "latency_ave": "latency",
    "latency_min": "latency_min",
    "latency_max": "latency_max",
}

Nodes = dict[int, dict[str, Any]]
"""Node id -> ``name`` and ``addresses`` by link."""


def nodes_of(configuration: Iterable[tuple[str, Value]]) -> Nodes:
    """The node list of Corosync's configuration map."""
    raw: dict[str, dict[str, Value]] = {}
    for key, value in configuration:
        if (match := _NODE.fullmatch(key)) is not None:
            raw.setdefault(match[1], {})[match[2]] = value
    nodes: Nodes = {}
    for values in raw.values():
        if isinstance(nodeid := values.get("nodeid"), int):
            rings = {
                int(key[4:-5]): str(value)
                for key, value in values.items()
                if re.fullmatch(r"ring\d_addr", key)
            }
            nodes[nodeid] = {
                "name": str(values.get("name", values.get("ring0_addr", nodeid))),
                "addresses": rings,
            }
    return nodes


def priorities_of(configuration: Iterable[tuple[str, Value]]) -> dict[int, int]:
    return {
        int(match[1]): int(value)
        for key, value in configuration
        if (match := _PRIORITY.fullmatch(key)) is not None and isinstance(value, int)
    }


def links(
    statistics: Iterable[tuple[str, Value]],
    nodes: Nodes,
    priorities: Mapping[int, int],
    local: int,
) -> list[dict[str, Any]]:
    """Every link to every other node: state, latency in microseconds, counters; ordered by node and link."""
    found: dict[tuple[int, int], dict[str, Value]] = {}
    for key, value in statistics:
        if (match := _LINK.fullmatch(key)) is not None and int(match[1]) != local:
            found.setdefault((int(match[1]), int(match[2])), {})[match[3]] = value
    result = []
    for (nodeid, link), values in sorted(found.items()):
        node = nodes.get(nodeid, {"name": str(nodeid), "addresses": {}})
        entry: dict[str, Any] = {
            "node": node["name"],
            "nodeid": nodeid,
            "link": link,
            "priority": priorities.get(link, _DEFAULT_PRIORITY),
            "enabled": bool(values.get("enabled", 0)),
            "connected": bool(values.get("connected", 0)),
        }
        if link in node["addresses"]:
            entry["address"] = node["addresses"][link]
        if link in nodes.get(local, {"addresses": {}})["addresses"]:
            entry["local_address"] = nodes[local]["addresses"][link]
        numbers = {name: value for name, value in values.items() if isinstance(value, int)}
        if entry["connected"] and numbers.get("latency_samples"):
            entry.update({shown: numbers[name] for name, shown in _LATENCIES.items() if name in numbers})
        entry.update({name: numbers[name] for name in _COUNTERS if name in numbers})
        result.append(entry)
    return result


def read_links() -> list[dict[str, Any]]:
    """Ask the local Corosync. Raises CsError; LibraryError when it does not run."""
    with Cmap() as configuration:
        settings = [*configuration.iterate("nodelist.node."), *configuration.iterate("totem.interface.")]
        local = configuration.get("runtime.votequorum.this_node_id")
    with Cmap(Map.STATISTICS) as statistics:
        values = statistics.iterate("stats.knet.")
    return links(values, nodes_of(settings), priorities_of(settings), int(local))


def quorum(
    own: Info, others: Iterable[Info], nodes: Nodes, qdevice: Info | None, *, has_device: bool = False
) -> dict[str, Any]:
    """The counting of votes in numbers. ``spare``: votes that may get lost before changes stop.

    ``has_device``: the configuration names a QDevice. Its daemon registers at Corosync, where it runs.
    """
    present = own.total
    result: dict[str, Any] = {
        "quorate": own.quorate,
        "votes": present,
        "expected": own.expected,
        "highest_expected": own.highest_expected,
        "needed": own.quorum,
        "spare": max(0, present - own.quorum) if own.quorate else 0,
        "flags": [flag.name for flag in Flag if flag in own.flags],
        "nodes": [
            {
                "name": nodes.get(info.nodeid, {"name": str(info.nodeid)})["name"],
                "nodeid": info.nodeid,
                "votes": info.votes,
                "state": _state(info.state),
            }
            for info in sorted(others, key=lambda info: info.nodeid)
        ],
    }
    if has_device or Flag.QDEVICE_REGISTERED in own.flags:
        registered = Flag.QDEVICE_REGISTERED in own.flags
        result["qdevice"] = {
            "name": own.qdevice_name if registered else "Qdevice",
            "votes": qdevice.votes if qdevice is not None else own.qdevice_votes,
            "registered": registered,
            "alive": Flag.QDEVICE_ALIVE in own.flags,
            "votes_for_us": Flag.QDEVICE_CAST_VOTE in own.flags,
            "master_wins": Flag.QDEVICE_MASTER_WINS in own.flags,
        }
    return result


def read_quorum() -> dict[str, Any]:
    """Ask the local Corosync. Raises CsError; LibraryError when it does not run."""
    with Cmap() as configuration:
        nodes = nodes_of(configuration.iterate("nodelist.node."))
        local = int(configuration.get("runtime.votequorum.this_node_id"))
        has_device = any(key == "quorum.device.model" for key, _ in configuration.iterate("quorum.device."))
    with Votequorum() as votes:
        own = votes.info(local)
        infos = []
        for nodeid in nodes:
            try:
                infos.append(votes.info(nodeid))
            except NotExistError:  # in the configuration, never seen
                infos.append(own._replace(nodeid=nodeid, state=NodeState.DEAD, votes=0))
        try:
            qdevice = votes.info(QDEVICE_NODEID)
        except NotExistError:
            qdevice = None
    return quorum(own, infos, nodes, qdevice, has_device=has_device)


def _state(state: NodeState | int) -> str:
    return state.name.lower() if isinstance(state, NodeState) else "unknown"
