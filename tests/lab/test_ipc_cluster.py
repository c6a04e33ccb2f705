"""Status, log and RRD texts that one node's client hands in are answered by the others (status 1, 6)."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from lab import Lab, Node, wait_for
from lab.cluster import wait_read_only, wait_writable

pytestmark = pytest.mark.lab

PROGRAM = """
import json, sys
from quorate.ipc.client import Client
with Client(timeout=10) as client:
    print(json.dumps({body}))
"""


def ask(node: Node, body: str) -> Any:
    """The value of an expression over ``client``, on that node."""
    program = PROGRAM.replace("{body}", body)
    done = node.run(["env", "PYTHONPATH=/opt/quorate/src", "/opt/quorate/.venv/bin/python", "-c", program])
    return json.loads(done.stdout)


def value_of(node: Node, key: str, owner: str) -> str | None:
    found: str | None = ask(node, f"(client.get_status({key!r}, {owner!r}) or b'').decode() or None")
    return found


def tells(node: Node) -> bool:
    """Whether the value and the RRD text of n1 are known there."""
    rrd = str(ask(node, "client.rrd_dump().decode()"))
    return value_of(node, "kv/ipc", "n1") == "from n1\0" and "pve2-storage/n1/ipc:1800000000:5:4\n" in rrd


def test_what_one_client_says_all_nodes_answer(cluster: Lab) -> None:
    n1, n2, n3 = cluster.nodes
    ask(n1, "client.set_status('kv/ipc', b'from n1\\0')")
    ask(n1, "client.set_status('rrd/pve2-storage/n1/ipc', b'1800000000:5:4\\0')")
    ask(n1, "client.log('said on n1', ident='root@pam', tag='ipc')")
    for node in (n1, n2, n3):
        wait_for(partial(tells, node), timeout=10, what=f"n1's texts on {node.name}")
        log = ask(node, "client.cluster_log(user='root@pam')")
        assert [entry["node"] for entry in log if entry["msg"] == "said on n1"] == ["n1"]
        assert set(ask(node, "client.members()")["nodelist"]) == {"n1", "n2", "n3"}
    assert value_of(n2, "kv/ipc", "n2") is None
    assert value_of(n2, "kv/ipc", "nowhere") is None


def test_status_goes_on_without_quorum_and_is_told_after_the_merge(cluster: Lab) -> None:
    n1, _, n3 = cluster.nodes
    cluster.cut("n3")
    wait_read_only(n3)
    ask(n3, "client.set_status('kv/alone', b'x\\0')")
    assert value_of(n3, "kv/alone", "n3") == "x\0"
    assert value_of(n1, "kv/alone", "n3") is None
    cluster.heal()
    wait_writable(n3)
    wait_for(lambda: value_of(n1, "kv/alone", "n3") == "x\0", timeout=20, what="the value after the merge")
