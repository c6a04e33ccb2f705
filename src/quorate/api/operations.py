"""All operations of the API, from the subtrees' declarations."""

from __future__ import annotations

from quorate.api import (
    access,
    cluster,
    cluster_config,
    cluster_options,
    cluster_resources,
    cluster_tasks,
    corosync_view,
    node_certificates,
    node_config,
    node_console,
    node_guests,
    node_history,
    node_journal,
    node_metrics,
    node_names,
    node_network,
    node_network_changes,
    node_services,
    node_status,
    nodes,
    root,
    tasks,
)
from quorate.api.router import Router
from quorate.schema import Operation


def all_operations() -> list[Operation]:
    declared = [
        *root.OPERATIONS,
        *access.OPERATIONS,
        *cluster.OPERATIONS,
        *cluster_config.OPERATIONS,
        *cluster_options.OPERATIONS,
        *cluster_resources.OPERATIONS,
        *cluster_tasks.OPERATIONS,
        *corosync_view.OPERATIONS,
        *nodes.OPERATIONS,
        *node_certificates.OPERATIONS,
        *node_config.OPERATIONS,
        *node_guests.OPERATIONS,
        *node_console.OPERATIONS,
        *node_history.OPERATIONS,
        *node_journal.OPERATIONS,
        *node_metrics.OPERATIONS,
        *node_names.OPERATIONS,
        *node_network.OPERATIONS,
        *node_network_changes.OPERATIONS,
        *node_services.OPERATIONS,
        *node_status.OPERATIONS,
        *tasks.OPERATIONS,
    ]
    return [*declared, *root.index_operations(declared)]


def make_router() -> Router:
    return Router(all_operations())
