"""``/nodes/{node}/metrics``: one node's view of the cluster in numbers, as Prometheus reads them.

An addition of ours. The front's /metrics puts its own figures behind it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Final

import quorate
from quorate.api.exposition import Family, Histogram, exposition
from quorate.api.nodes import NODE
from quorate.cfs import Cfs, CfsError
from quorate.corosync.cmap import Cmap, Map
from quorate.corosync.errors import CsError, MissingLibraryError
from quorate.corosync.links import read_links, read_quorum
from quorate.schema import Check, Context, Operation, String
from quorate.settings import Settings

_MICROSECONDS: Final = 1e-6
_TOTEM: Final = "stats.srp."


def _metrics(ctx: Context, node: str) -> str:
    families = [Family("quorate_build_info", "gauge", "1; the version.").add(1, version=quorate.__version__)]
    families += file_system(ctx.settings)
    if ctx.settings.cluster_conf.exists():
        families += corosync()
    return exposition(families)


def file_system(settings: Settings) -> list[Family]:
    """The cluster file system: whether it answers and how fast, its members, guests and change counters."""
    cfs = Cfs(settings)
    up = Family("quorate_pmxcfs_up", "gauge", "Whether the cluster file system's daemon answers.")
    took = Family("quorate_pmxcfs_probe_seconds", "gauge", "How long one question took just now.")
    members = Family("quorate_node_online", "gauge", "Whether a member is online.")
    quorate_now = Family("quorate_cluster_quorate", "gauge", "Whether the cluster may be changed.")
    guests = Family("quorate_guests", "gauge", "Guests by node and type.")
    changes = Family("quorate_pmxcfs_changes_total", "counter", "Changes of a tracked file.")
    values = Family("quorate_pmxcfs_status_values", "gauge", "Values that a node tells the others.")
    views = Family("quorate_pmxcfs_cluster_info_total", "counter", "Changes of members and addresses.")
    found = [up, took, quorate_now, members, guests, changes, values, views]
    try:
        started = time.perf_counter()
        counters = cfs.changes()
        took.add(time.perf_counter() - started, probe="ipc")
        started = time.perf_counter()
        listed = cfs.members()
        took.add(time.perf_counter() - started, probe="read")
        kinds: dict[tuple[str, str], int] = {}
        for guest in cfs.guests().values():
            kinds[guest.node, guest.kind] = kinds.get((guest.node, guest.kind), 0) + 1
    except CfsError:
        up.add(0)
        return found
    up.add(1)
    quorate_now.add(int(listed.quorate or not listed.nodes))
    for name, member in sorted(listed.nodes.items()):
        members.add(int(member.online), node=name)
    for (name, kind), count in sorted(kinds.items()):
        guests.add(count, node=name, type_=kind)
    for path, number in sorted(counters.paths.items()):
        changes.add(number, path=path)
    for name, keys in sorted(counters.status.items()):
        values.add(len(keys), node=name)
    views.add(counters.clinfo)
    return [*found, *_counted(cfs), *_process(settings)]


def _counted(cfs: Cfs) -> list[Family]:
    """What the daemon itself counts; nothing where the original's runs, which does not."""
    try:
        counts = cfs.figures()
    except CfsError:
        return []
    took = Family(
        "quorate_pmxcfs_operation_seconds",
        "histogram",
        "Requests of the kernel by kind, from their arrival to the answer; what it has cached costs none.",
    )
    refused = Family("quorate_pmxcfs_operation_errors_total", "counter", "Requests answered with an error.")
    for name, figures in sorted(counts["requests"].items()):
        histogram = Histogram(counts["bounds"])
        histogram.counts, histogram.total = list(figures["buckets"]), figures["seconds"]
        histogram.add_to(took, {"operation": name})
        refused.add(figures["refused"], operation=name)
    waiting = Family("quorate_pmxcfs_operations_waiting", "gauge", "Requests that wait for their answer.")
    entries = Family("quorate_pmxcfs_entries", "gauge", "Files and directories.")
    content = Family("quorate_pmxcfs_content_bytes", "gauge", "Bytes in all files.")
    broken = Family("quorate_pmxcfs_database_broken", "gauge", "Whether the database takes no writes.")
    clients = Family("quorate_pmxcfs_ipc_clients", "gauge", "Programs connected to the local service.")
    tree = counts["tree"]
    waiting.add(counts["in_flight"])
    entries.add(tree["entries"])
    content.add(tree["bytes"])
    broken.add(int(tree["broken"]))
    clients.add(counts["ipc_clients"])
    return [took, refused, waiting, entries, content, broken, clients, *_groups(counts["groups"])]


def _groups(groups: dict[str, dict[str, Any]]) -> list[Family]:
    """The process groups of Corosync that the daemon is in."""
    synced = Family("quorate_pmxcfs_group_synced", "gauge", "Whether this node has the group's state.")
    members = Family("quorate_pmxcfs_group_members", "gauge", "Members of the group.")
    sent = Family("quorate_pmxcfs_messages_sent_total", "counter", "Messages of this node to the group.")
    came = Family("quorate_pmxcfs_messages_delivered_total", "counter", "Messages of all nodes that came.")
    queued = Family("quorate_pmxcfs_messages_queued", "gauge", "Messages that Corosync has not taken yet.")
    for name, group in sorted(groups.items()):
        synced.add(int(group["mode"] == "synced"), group=name)
        members.add(group["members"], group=name)
        sent.add(group["sent"], group=name)
        came.add(group["delivered"], group=name)
        queued.add(group["queued"], group=name)
    return [synced, members, sent, came, queued]


def _process(settings: Settings) -> list[Family]:
    """The daemon as the kernel sees it, and its database."""
    families: list[Family] = []
    try:
        pid = int(settings.pidfile.read_text().strip())
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return families
    tick = os.sysconf("SC_CLK_TCK")
    families.append(
        Family("quorate_pmxcfs_cpu_seconds_total", "counter", "Processor time of the daemon.").add(
            (int(fields[11]) + int(fields[12])) / tick
        )
    )
    families.append(
        Family("quorate_pmxcfs_resident_bytes", "gauge", "Memory of the daemon.").add(
            int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
        )
    )
    size = Family("quorate_pmxcfs_database_bytes", "gauge", "Size of the database's files.")
    for path in (settings.database, Path(f"{settings.database}-wal")):
        if path.exists():
            size.add(path.stat().st_size, file=path.name)
    return [*families, size]


def corosync() -> list[Family]:
    """Quorum, links and membership changes; ``quorate_corosync_up`` 0 and nothing else without Corosync."""
    up = Family("quorate_corosync_up", "gauge", "Whether Corosync answers.")
    try:
        votes, links = read_quorum(), read_links()
        with Cmap(Map.STATISTICS) as statistics:
            totem = statistics.iterate(_TOTEM)
    except (CsError, MissingLibraryError):
        return [up.add(0)]
    return [up.add(1), *_votes(votes), *_links(links), *_totem(totem)]


def _votes(votes: dict[str, Any]) -> list[Family]:
    family = Family("quorate_votes", "gauge", "Votes: present, expected, and needed for quorum.")
    for kind, key in (("present", "votes"), ("expected", "expected"), ("needed", "needed")):
        family.add(int(votes[key]), kind=kind)
    corosync_quorate = Family("quorate_corosync_quorate", "gauge", "Whether Corosync sees a quorum.")
    return [family, corosync_quorate.add(int(votes["quorate"]))]


def _links(links: list[dict[str, Any]]) -> list[Family]:
    connected = Family("quorate_link_connected", "gauge", "Whether the other node is reached over the link.")
    latency = Family("quorate_link_latency_seconds", "gauge", "There and back; average, least, most.")
    downs = Family("quorate_link_down_total", "counter", "How often the link went down.")
    errors = Family("quorate_link_errors_total", "counter", "Packets that could not be sent.")
    amount = Family("quorate_link_bytes_total", "counter", "Bytes sent and received.")
    for entry in links:
        labels = {"node": entry["node"], "link": entry["link"]}
        connected.add(int(entry["connected"]), **labels)
        for key, kind in (("latency", "average"), ("latency_min", "least"), ("latency_max", "most")):
            if key in entry:
                latency.add(entry[key] * _MICROSECONDS, **labels, kind=kind)
        for family, key, more in (
            (downs, "down_count", {}),
            (errors, "tx_total_errors", {}),
            (amount, "rx_total_bytes", {"direction": "in"}),
            (amount, "tx_total_bytes", {"direction": "out"}),
        ):
            if key in entry:
                family.add(entry[key], **labels, **more)
    return [connected, latency, downs, errors, amount]


def _totem(values: list[tuple[str, Any]]) -> list[Family]:
    """Corosync's own counts of its states; ``operational_entered`` grows with every change of membership."""
    numbers = {key.removeprefix(_TOTEM): value for key, value in values if isinstance(value, int)}
    changes = Family("quorate_membership_changes_total", "counter", "Memberships that were formed.")
    if "operational_entered" in numbers:
        changes.add(numbers["operational_entered"])
    family = Family("quorate_corosync_totem", "gauge", "What Corosync counts of its protocol, by its names.")
    for name, number in sorted(numbers.items()):
        family.add(number, name=name)
    return [changes, family]


OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/nodes/{node}/metrics",
        name="metrics",
        description="The cluster in numbers as this node sees it, in the text format of Prometheus, which"
        " finds it with the API's own figures at /metrics. Not of the original.",
        handler=_metrics,
        parameters={"node": NODE},
        returns=String(description="The text format 0.0.4."),
        permission=Check("/", ("Sys.Audit",)),
        protected=True,
        proxyto_node=True,
    ),
]
