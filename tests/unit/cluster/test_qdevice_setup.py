"""Setting up a QDevice, with pretended commands (pvecm 5.1)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from quorate.cluster import qdevice_setup
from quorate.cluster.commands import CommandError, Result
from quorate.cluster.host import ClusterError
from quorate.corosync.conf import parse
from tests.unit.cluster.joinstand import Commands, JumpingClock, Node

CONF = b"""totem { version: 2 cluster_name: lab config_version: 4 }
nodelist { node { name: n1 nodeid: 1 ring0_addr: 10.0.0.1 } node { name: n2 nodeid: 2 ring0_addr: 10.0.0.2 } }
quorum { provider: corosync_votequorum }
"""
CMAP = "corosync-cmapctl -g quorum.device.model"
START = "systemctl start corosync-qdevice"


class Reloading(Commands):
    """Corosync on each node knows the device ``after`` so many seconds; the daemon needs that."""

    def __init__(self, time: JumpingClock, after: float) -> None:
        super().__init__()
        self._time, self._after = time, after

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout: float = 0,
        check: bool = True,
        echo: bool = False,
        interactive: bool = False,
    ) -> Result:
        result = super().__call__(argv, timeout=timeout, check=check, echo=echo, interactive=interactive)
        if argv[-1] not in (CMAP, START) or self._time.passed >= self._after:
            return result
        if check:
            raise CommandError(argv, "exit code 1")
        return Result(1, "", "Can't get key quorum.device.model. Error CS_ERR_NOT_EXIST")


@pytest.fixture
def node(tmp_path: Path) -> Node:
    found = Node(tmp_path)
    found.settings.cluster_conf.write_bytes(CONF)
    members = {f"n{number}": {"id": number, "online": 1, "ip": f"10.0.0.{number}"} for number in (1, 2)}
    cluster = {"name": "lab", "version": 4, "nodes": 2, "quorate": 1}
    text = json.dumps({"nodename": "n2", "version": 1, "cluster": cluster, "nodelist": members})
    (found.settings.mountpoint / ".members").write_text(text)
    return found


def set_up(node: Node, *, after: float) -> Reloading:
    commands = Reloading(node.time, after)
    qdevice_setup.setup(replace(node.host, run=commands), "10.0.0.9", force=False)
    return commands


def test_the_daemons_are_started_when_corosync_knows_the_device(node: Node) -> None:
    """It reads the file a second after it was written: a daemon started before ends at once."""
    commands = set_up(node, after=1.5)
    started = [line.split("@")[-1] for line in commands.called if line.endswith(START)]
    assert started == [f"10.0.0.1 {START}", f"10.0.0.2 {START}"]
    device = parse(node.settings.cluster_conf.read_bytes()).quorum["device"]
    net = {"tls": "on", "host": "10.0.0.9", "algorithm": "ffsplit"}
    assert device == {"model": "net", "votes": "1", "net": net}


def test_a_corosync_that_never_takes_the_device_over_is_named(node: Node) -> None:
    with pytest.raises(ClusterError, match=r"^node 'n1': corosync has not taken over the QDevice after 30 s"):
        set_up(node, after=1e9)
    assert node.time.passed == pytest.approx(qdevice_setup.RELOAD_SECONDS, abs=1)
