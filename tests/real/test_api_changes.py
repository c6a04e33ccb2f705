"""The event stream and the metrics over a real pmxcfs: what is changed there is told, and counted."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.real.pmxcfs_world import CLONE, World, a_world

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

_LISTEN = """
import asyncio, json, sys
from pathlib import Path
from quorate.api import node_metrics
from quorate.api.changes import TOPICS
from quorate.api.events import Hub, Look
from quorate.api.exposition import exposition
from quorate.cfs import Cfs
from quorate.settings import Settings

settings = Settings(Path(sys.argv[1]))
cfs = Cfs(settings)
guests = settings.mountpoint / "nodes/node1/qemu-server"
guests.mkdir(parents=True)
STEPS = [
    lambda: cfs.write("datacenter.cfg", b"keyboard: de\\n"),
    lambda: cfs.write("user.cfg", b"user:root@pam:1:0::::::\\n"),
    lambda: (guests / "100.conf").write_text("name: one\\n"),
    lambda: cfs.status_set("tasklist", b"[]"),
    lambda: cfs.log("something happened", tag="test"),
]

async def main():
    hub = Hub(Look(cfs))
    stream = hub.listen("c", "", lambda: frozenset(TOPICS))
    await anext(stream)
    told = []
    for step in STEPS:
        await asyncio.to_thread(step)
        async with asyncio.timeout(30):
            piece = b":"
            while piece.startswith(b":"):
                piece = await anext(stream)
        told.append(json.loads(piece.decode().split("data: ")[1]))
    hub.close()
    await stream.aclose()
    text = exposition(node_metrics.file_system(settings))
    print(json.dumps({"told": told, "metrics": text.splitlines()}))

asyncio.run(main())
"""


@pytest.fixture
def here() -> Iterator[World]:
    with a_world() as made:
        yield made


def test_changes_are_told_and_counted(here: World) -> None:
    here.start()
    argv = [*here.command()[:-2], _LISTEN, str(here.root)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100, cwd=CLONE, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["told"] == [
        {"topics": ["config"], "paths": ["datacenter.cfg"]},
        {"topics": ["access", "config", "resources"], "paths": ["user.cfg"]},
        {"topics": ["resources"]},
        {"topics": ["tasks"]},
        {"topics": ["log"]},
    ]
    for line in (
        "quorate_pmxcfs_up 1",
        "quorate_cluster_quorate 1",
        'quorate_guests{node="node1",type="qemu"} 1',
    ):
        assert line in result["metrics"]
    changes = [
        line for line in result["metrics"] if line.startswith('quorate_pmxcfs_changes_total{path="dat')
    ]
    assert len(changes) == 1
    assert int(changes[0].split()[1]) > 0
    assert any(line.startswith("quorate_pmxcfs_resident_bytes ") for line in result["metrics"])
