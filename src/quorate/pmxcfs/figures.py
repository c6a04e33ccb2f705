"""What the daemon counts, as JSON for whoever measures it (the API's metrics). Pure; an addition of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from quorate.fuse.figures import BOUNDS, Figures


class GroupFigures(NamedTuple):
    """One process group of Corosync."""

    mode: str
    members: int
    sent: int
    """Application messages of this process since its start."""
    delivered: int
    """All messages that came, own ones included."""
    queued: int
    """Waiting for Corosync to take them."""


class TreeFigures(NamedTuple):
    """The file system's content."""

    entries: int
    bytes: int
    version: int
    broken: bool
    """The database does not take what is written."""


def figures_text(
    requests: Mapping[str, Figures],
    *,
    in_flight: int,
    tree: TreeFigures,
    groups: Mapping[str, GroupFigures],
    ipc_clients: int,
) -> bytes:
    """``bounds``: upper limits in seconds of ``buckets``, which has one more for what took longer."""
    return json.dumps(
        {
            "bounds": BOUNDS,
            "requests": {name: figures._asdict() for name, figures in requests.items()},
            "in_flight": in_flight,
            "tree": tree._asdict(),
            "groups": {name: group._asdict() for name, group in groups.items()},
            "ipc_clients": ipc_clients,
        }
    ).encode()
