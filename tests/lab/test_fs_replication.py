"""/etc/pve is one file system: what one node writes, all have, at once and exactly."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab import Lab, wait_for
from tests.lab.support_fs import (
    PVE,
    Agent,
    agents,
    compare,
    file_system_cluster,
    kill_pmxcfs,
    pmxcfs_pid,
    run_scripts,
    start_script,
    wait_converged,
    wait_ready,
)

WRITE_SECONDS = float(os.environ.get("QUORATE_TEST_WRITE_SECONDS", "60"))
"""How long the concurrent writers write; less for a quick look."""
ANSWER_SECONDS = 45.0
"""The longest that a member which does not answer may hold up the others: 15 s, 3 s more per rank, and a
second for each look (docs/guarantees.md), on a machine that may be busy."""
LOOKUP_TURNS = int(os.environ.get("QUORATE_TEST_LOOKUP_TURNS", "20"))
NAMES = ("n1", "n2", "n3")
PRIVATE = (f"{PVE}/priv", f"{PVE}/nodes/n9/priv")


@pytest.fixture(scope="module")
def cluster(laboratories: Any) -> Iterator[Lab]:
    with file_system_cluster(laboratories) as lab:
        yield lab


@pytest.fixture
def trio(cluster: Lab) -> Iterator[list[Agent]]:
    with agents(cluster.nodes) as callers:
        yield callers


def www_data(cluster: Lab) -> int:
    return int(cluster.node("n1").run(["getent", "group", "www-data"]).stdout.split(":")[2])


# Seen everywhere


@pytest.mark.parametrize("writer", NAMES)
def test_a_file_written_on_any_node_is_read_on_all(cluster: Lab, trio: list[Agent], writer: str) -> None:
    content = bytes(range(256)).decode("latin-1") * 1000  # more than one request of the kernel
    path = f"{PVE}/written-on-{writer}"
    author = trio[NAMES.index(writer)]
    author.call("write", path, content)
    author.call("utime", path, 0, 1_234_567_890)
    gid = www_data(cluster)
    for agent in trio:
        agent.barrier()
        assert agent.call("read", path) == content
        assert agent.call("stat", path) == {
            "mode": 0o100640,
            "uid": 0,
            "gid": gid,
            "size": len(content),
            "nlink": 1,
            "mtime": 1_234_567_890,
        }


def test_time_and_content_are_the_same_everywhere(cluster: Lab, trio: list[Agent]) -> None:
    for number, agent in enumerate(trio):
        agent.call("mkdir", f"{PVE}/of-{number}")
        agent.call("write", f"{PVE}/of-{number}/file", f"by {number}")
        agent.call("create", f"{PVE}/of-{number}/empty")
    wait_converged(cluster.nodes)


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_a_change_is_seen_at_once_by_whoever_acts_after_it(trio: list[Agent], shift: int) -> None:
    """The readers know the old state, names that do not exist included, and the kernel keeps what it knows
    for a day: only being told makes it look again. An own acknowledged operation of the reader, made after
    the writer's was acknowledged, is ordered behind it; from then on nothing old may be seen."""
    writer, *readers = trio[shift:] + trio[:shift]
    top = f"{PVE}/seen-{shift}"
    writer.call("mkdir", top)
    for turn in range(10):
        _check_visible(writer, readers, f"{top}/{turn}")


def _check_visible(writer: Agent, readers: list[Agent], top: str) -> None:
    old, new, sub = f"{top}/old", f"{top}/new", f"{top}/sub"
    writer.call("mkdir", top)
    steps: list[tuple[tuple[object, ...], list[str], str | None, str | None]] = [
        # the writer's call, then: names in the directory, content of old and of new (None: no such file)
        (("write", old, "1"), ["old"], "1", None),
        (("write", old, "twenty-two"), ["old"], "twenty-two", None),
        (("overwrite", old, "T"), ["old"], "Twenty-two", None),
        (("replace", old, "again"), ["old"], "again", None),
        (("truncate", old, 2), ["old"], "ag", None),
        (("rename", old, new), ["new"], None, "ag"),
        (("write", old, "other"), ["new", "old"], "other", "ag"),
        (("rename", old, new), ["new"], None, "other"),
        (("mkdir", sub), ["new", "sub"], None, "other"),
        (("unlink", new), ["sub"], None, None),
        (("rmdir", sub), [], None, None),
    ]
    for reader in readers:
        reader.barrier()
        _look(reader, top, old, new)
    for call, names, of_old, of_new in steps:
        writer.call(*map(_text, call[:1]), *call[1:])
        for reader in readers:
            reader.barrier()
            what = f"{reader.node.name} after {call} by {writer.node.name}"
            assert _look(reader, top, old, new) == (names, of_old, of_new), what


def _text(value: object) -> str:
    return str(value)


def _look(reader: Agent, top: str, *paths: str) -> tuple[object, ...]:
    return (reader.call("listdir", top), *(_content(reader, path) for path in paths))


def _content(reader: Agent, path: str) -> object:
    if not reader.call("exists", path):
        assert reader.error("read", path) == "ENOENT"
        return None
    content = reader.call("read", path)
    assert reader.call("stat", path)["size"] == len(content)
    return content


def test_a_file_replaced_as_a_whole_is_always_there_and_whole(cluster: Lab, trio: list[Agent]) -> None:
    """Readers on all nodes, by name: never no file, never a part of one, never a mixture of two."""
    path = f"{PVE}/replaced"
    trio[0].call("write", path, "first\n")
    for agent in trio:
        agent.barrier()
    readers = {node.name: start_script(node, "support_node_reader.py", path) for node in cluster.nodes}
    try:
        for reader in readers.values():
            assert reader.stdout.readline() == "ready\n"
        for turn in range(200):
            trio[turn % 3].call("replace", path, f"turn {turn}\n" * (turn * 37 % 2000 + 1))
        for reader in readers.values():
            reader.stdin.write("stop\n")
            reader.stdin.flush()
        results = run_scripts(readers, timeout=60)
    finally:
        for reader in readers.values():
            reader.kill()
    for name, result in results.items():
        assert result["wrong"] == [], name
        assert result["contents"] > 10, f"{name}: {result}"


def test_what_is_looked_up_while_it_changes_is_not_remembered_as_it_was(
    cluster: Lab, trio: list[Agent]
) -> None:
    """The kernel is told of a change while it is only just learning of the file: it must not keep, for a day,
    what it was told first."""
    names = 8
    top = f"{PVE}/looked-up"
    author = trio[0]
    author.call("mkdir", top)
    lookups = {
        f"{number} on {node.name}": start_script(node, "support_node_lookups.py", top, str(names))
        for node in cluster.nodes[1:]
        for number in range(2)
    }
    try:
        for process in lookups.values():
            assert process.stdout.readline() == "ready\n"
        for turn in range(LOOKUP_TURNS):
            for number in range(names):
                author.call("write", f"{top}/{number}", "x" * (turn % 50 + 1))
                author.call("overwrite", f"{top}/{number}", "y" * (turn % 50 + 60))
            if turn % 5 == 4:
                for agent in trio:
                    agent.barrier()
                shown = [agent.call("walk", top) for agent in trio]
                assert shown[1] == shown[0], compare(shown[1], shown[0])
                assert shown[2] == shown[0], compare(shown[2], shown[0])
            for number in range(names):
                author.call("unlink", f"{top}/{number}")
        for process in lookups.values():
            process.stdin.write("stop\n")
            process.stdin.flush()
        results = run_scripts(lookups, timeout=60)
    finally:
        for process in lookups.values():
            process.kill()
    for name, result in results.items():
        assert 0 < result["found"] < result["looked"], f"{name}: {result}"


# Many at once


@pytest.mark.timeout(900)
def test_concurrent_writers_converge(cluster: Lab) -> None:
    """Four writers on three nodes: creations, overwriting, replacing, renames, directories, deletions and
    times, in the same directories and on the same names."""
    top = f"{PVE}/crowd"
    with agents(cluster.nodes[:1]) as (agent,):
        agent.call("mkdir", top)
        for number in range(3):
            agent.call("mkdir", f"{top}/d{number}")
    places = {"one": "n1", "two": "n1", "three": "n2", "four": "n3"}
    processes = {
        name: start_script(
            cluster.node(node), "support_node_writer.py", top, name, f"seed-{name}", str(WRITE_SECONDS)
        )
        for name, node in places.items()
    }
    try:
        results = run_scripts(processes, timeout=WRITE_SECONDS + 120)
    finally:
        for process in processes.values():
            process.kill()
    for name, result in results.items():
        # The kernel's own answer when another node moved the new directory before mkdir returned, and a
        # process of this node has seen it in its new place already. It exists; only the caller is not told.
        result["failed"].pop("make_directory ESTALE", None)
        # The same for a directory looked up in the course of a rename while the kernel knows it elsewhere: it
        # would have to be moved there under a lock that the rename holds itself.
        result["failed"].pop("rename_directory ESTALE", None)
        errors = {each.split()[1] for each in result["failed"]}
        assert errors <= {"ENOENT", "EEXIST", "ENOTEMPTY"}, f"{name}: {result['failed']}"
        missing = [
            call for call in ("replace", "rename", "unlink", "set_time") if not result["done"].get(call)
        ]
        assert not missing, f"{name} never succeeded with {missing}: {result}"
    wait_converged(cluster.nodes)


def test_a_stopped_daemon_does_not_hold_up_the_others(
    cluster: Lab, trio: list[Agent], allow_warnings: Callable[[str], None]
) -> None:
    """Neither while it is stopped, nor when the others have to agree on a state without its answer."""
    allow_warnings(r"does not send its state; going on without it|the others went on without this node")
    _, n2, n3 = cluster.nodes
    first, second, third = trio
    top = f"{PVE}/stopped"
    first.call("mkdir", top)
    kill_pmxcfs(n3, "STOP")
    try:
        for number in range(50):
            first.call("write", f"{top}/{number}", "while n3 is stopped", timeout=ANSWER_SECONDS)
        assert second.call("read", f"{top}/49") == "while n3 is stopped"
        before = pmxcfs_pid(n2)
        second.close()
        n2.systemctl("restart", "pve-cluster")  # a new synchronisation, which n3 does not answer
        assert pmxcfs_pid(n2) != before
        first.call("write", f"{top}/after", "agreed without n3", timeout=ANSWER_SECONDS)
    finally:
        kill_pmxcfs(n3, "CONT")
    wait_ready(cluster.nodes)
    wait_for(lambda: third.error("stat", f"{top}/after") == "", timeout=ANSWER_SECONDS, what="n3 to catch up")
    wait_converged(cluster.nodes)


# Private


def test_private_files_are_never_open_to_the_api_user(cluster: Lab, trio: list[Agent]) -> None:
    """All nodes try all the time as www-data, while private directories and files come, change and go."""
    for directory in (f"{PVE}/priv", f"{PVE}/nodes", f"{PVE}/nodes/n9"):
        if not trio[0].call("exists", directory):
            trio[0].call("mkdir", directory)
    watchers = {
        f"{node.name} {directory}": start_script(node, "support_node_private.py", directory)
        for node in cluster.nodes
        for directory in PRIVATE
    }
    try:
        for watcher in watchers.values():
            assert watcher.stdout.readline() == "ready\n"
        for turn in range(30):
            _keep_secrets(trio[turn % 3], turn)
        for watcher in watchers.values():
            watcher.stdin.write("stop\n")
            watcher.stdin.flush()
        results = run_scripts(watchers, timeout=60)
    finally:
        for watcher in watchers.values():
            watcher.kill()
    for name, result in results.items():
        assert result["seen"] == [], name
        assert result["tries"] > 100, name
    for agent in trio:
        agent.barrier()
        assert agent.call("stat", f"{PVE}/priv")["mode"] == 0o040700
        assert agent.call("stat", f"{PVE}/priv/secret0")["mode"] == 0o100600


def _keep_secrets(agent: Agent, turn: int) -> None:
    """One round of a node that handles secrets; the next node finds what this one left."""
    agent.barrier()
    number = turn % 6
    agent.call("write", f"{PVE}/priv/secret{number}", f"secret of turn {turn}")
    agent.call("replace", f"{PVE}/priv/secret0", f"secret of turn {turn}")
    public = f"{PVE}/public{number}"
    agent.call("write", public, "not yet a secret")
    agent.call("rename", public, f"{PVE}/priv/moved{number}")
    # a directory that becomes private by its new name
    agent.call("mkdir", f"{PVE}/nodes/n9/public")
    agent.call("rename", f"{PVE}/nodes/n9/public", f"{PVE}/nodes/n9/priv")
    agent.call("write", f"{PVE}/nodes/n9/priv/secret{number}", "key")
    agent.call("rename", f"{PVE}/nodes/n9/priv/secret{number}", f"{PVE}/nodes/n9/priv/moved{number}")
    agent.call("unlink", f"{PVE}/nodes/n9/priv/moved{number}")
    agent.call("rmdir", f"{PVE}/nodes/n9/priv")
