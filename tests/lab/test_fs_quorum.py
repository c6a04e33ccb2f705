"""Without quorum nothing changes: neither on a node that was cut off, nor in two halves. Reading goes on."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab import Lab
from lab.handmade import wait_not_quorate, wait_quorate
from tests.lab.support_fs import (
    PVE,
    Agent,
    agents,
    file_system_cluster,
    wait_converged,
    wait_read_only,
    wait_ready,
)

ANSWER_SECONDS = 60.0
REFUSALS = {errno.EACCES, errno.EPERM, errno.EBUSY}
"""What a call may say that was under way when quorum was lost (core 7.6)."""

MODIFYING: dict[str, tuple[object, ...]] = {
    "mkdir": ("mkdir", "{top}/new-directory"),
    "create": ("create", "{top}/new-file"),
    "open with O_TRUNC": ("open_truncate", "{top}/file"),
    "write": ("overwrite", "{top}/file", "changed"),
    "truncate": ("truncate", "{top}/file", 1),
    "extend": ("truncate", "{top}/file", 100),
    "unlink": ("unlink", "{top}/file"),
    "rmdir": ("rmdir", "{top}/directory"),
    "rename a file": ("rename", "{top}/file", "{top}/file-2"),
    "rename a directory": ("rename", "{top}/directory", "{top}/directory-2"),
    "replace": ("rename", "{top}/file", "{top}/other"),
    "utimens": ("utime", "{top}/file", 1, 1),
    "utimens of a directory": ("utime", "{top}/directory", 1, 1),
    "mkdir in the root": ("mkdir", f"{PVE}/new-directory"),
    "write a private file": ("overwrite", f"{PVE}/priv/secret", "changed"),
    "create a lock": ("mkdir", f"{PVE}/priv/lock/new"),
}


@pytest.fixture(scope="module")
def cluster(laboratories: Any) -> Iterator[Lab]:
    with file_system_cluster(laboratories, nodes=4) as lab:
        yield lab


@pytest.fixture
def whole(cluster: Lab) -> Iterator[Lab]:
    """The four nodes together; healed and identical afterwards."""
    yield cluster
    cluster.heal()
    wait_ready(cluster.nodes)
    wait_converged(cluster.nodes)


def fill(agent: Agent, top: str) -> None:
    for directory in (f"{PVE}/priv", f"{PVE}/priv/lock", top, f"{top}/directory"):
        if not agent.call("exists", directory):
            agent.call("mkdir", directory)
    agent.call("write", f"{top}/file", "as it was")
    agent.call("write", f"{top}/other", "as well")
    agent.call("write", f"{PVE}/priv/secret", "secret")


def errors(agent: Agent, top: str) -> dict[str, str]:
    """What every modifying call says."""
    answers = {}
    for name, call in MODIFYING.items():
        arguments = [each.format(top=top) if isinstance(each, str) else each for each in call]
        answers[name] = agent.error(*arguments)  # type: ignore[arg-type]
    return answers


def check_read_only(agent: Agent, top: str) -> None:
    assert errors(agent, top) == dict.fromkeys(MODIFYING, "EACCES")
    # the modes say so
    assert agent.call("stat", f"{top}/directory")["mode"] == 0o040555
    assert agent.call("stat", f"{top}/file")["mode"] == 0o100440
    assert agent.call("stat", f"{PVE}/priv")["mode"] == 0o040500
    assert agent.call("stat", f"{PVE}/priv/secret")["mode"] == 0o100400
    assert agent.call("stat", f"{PVE}/local")["mode"] == 0o120555
    assert agent.call("stat", PVE)["mode"] == 0o040755
    # reading works
    assert agent.call("read", f"{top}/file") == "as it was"
    assert agent.call("listdir", top) == ["directory", "file", "other"]
    assert agent.call("readlink", f"{PVE}/local") == f"nodes/{agent.node.name}"
    assert agent.call("statvfs", PVE)["f_files"] == 262144
    assert '"quorate": 0' in agent.call("read", f"{PVE}/.members")


def check_writable(agent: Agent, top: str) -> None:
    assert agent.call("stat", f"{top}/directory")["mode"] == 0o040755
    assert agent.call("stat", f"{top}/file")["mode"] == 0o100640
    assert agent.call("stat", f"{PVE}/priv/secret")["mode"] == 0o100600
    assert agent.call("stat", f"{PVE}/local")["mode"] == 0o120755
    agent.call("overwrite", f"{top}/file", "As it was")


def test_a_node_cut_off_is_read_only_and_catches_up(
    whole: Lab, allow_warnings: Callable[[str], None]
) -> None:
    allow_warnings(r"leaving the group: a message was delivered without quorum")
    top = f"{PVE}/cut"
    n1, n2, n3, n4 = whole.nodes
    with agents(whole.nodes) as (one, two, _, lonely):
        fill(one, top)
        for path in (f"{top}/file", f"{top}/directory", f"{PVE}/priv/secret", f"{PVE}/local"):
            lonely.barrier()
            lonely.call("stat", path)  # what the kernel was told once, it must learn anew
        whole.cut("n4")
        lonely.begin("mkdir", f"{top}/under-way")
        wait_not_quorate(n4)
        with pytest.raises(OSError) as refused:
            lonely.end(timeout=ANSWER_SECONDS)
        assert refused.value.errno in REFUSALS
        wait_read_only(lonely)
        check_read_only(lonely, top)
        # the majority goes on
        wait_quorate([n1, n2, n3])
        one.call("write", f"{top}/later", "while n4 was away", timeout=ANSWER_SECONDS)
        two.call("unlink", f"{top}/other")
        two.call("rename", f"{top}/directory", f"{top}/directory-2")
        two.call("mkdir", f"{top}/directory")
        two.call("replace", f"{top}/file", "as it is now")
        two.call("utime", f"{top}/file", 0, 77)
        assert lonely.call("read", f"{top}/file") == "as it was"
        assert lonely.call("exists", f"{top}/other")
        whole.heal()
        wait_ready(whole.nodes)
        lonely.barrier()
        assert lonely.call("listdir", top) == ["directory", "directory-2", "file", "later"]
        assert lonely.call("read", f"{top}/file") == "as it is now"
        assert lonely.call("stat", f"{top}/file")["mtime"] == 77
        check_writable(lonely, top)


def test_both_halves_of_a_split_cluster_are_read_only(whole: Lab) -> None:
    top = f"{PVE}/split"
    with agents(whole.nodes) as members:
        fill(members[0], top)
        for agent in members:
            agent.barrier()
        whole.split([["n1", "n2"], ["n3", "n4"]])
        for agent in members:
            wait_not_quorate(agent.node)
            wait_read_only(agent)
        for agent in members:
            check_read_only(agent, top)
        whole.heal()
        wait_ready(whole.nodes)
        for agent in members:
            agent.barrier()
        check_writable(members[3], top)


def test_a_node_that_comes_and_goes_follows(whole: Lab) -> None:
    """Cut and healed again and again, at any moment of the synchronisation before."""
    top = f"{PVE}/flapping"
    with agents(whole.nodes[:1]) as (one,):
        one.call("mkdir", top)
        for turn in range(5):
            whole.cut("n3")
            wait_not_quorate(whole.node("n3"))
            one.call("write", f"{top}/{turn}", "x" * 1000 * turn, timeout=ANSWER_SECONDS)
            whole.heal()
            wait_quorate(whole.nodes)  # members again, though perhaps not yet synchronised
