"""The join by secure shell: what is taken back in the cluster when a step's outcome is not known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from quorate.cluster import join_ssh
from quorate.cluster.commands import CommandError, Result
from quorate.cluster.host import ClusterError, Host
from quorate.cluster.join import JoinRequest
from quorate.cluster.undo import UndoList
from quorate.corosync.conf_edit import Link
from quorate.settings import Settings

KNOWN = "nodelist {\n  node {\n    name: n2\n"


class Member:
    """The far end of ssh: the entry is made, but the answer to addnode gets lost."""

    def __init__(self, shown: Result) -> None:
        self.shown = shown
        self.entered = False
        self.deleted = 0

    def __call__(self, argv: Sequence[str], **_: object) -> Result:
        command = argv[-1]
        if command.startswith("cat "):
            return self.shown
        if command.startswith("pvecm addnode"):
            self.entered = True
            raise CommandError(argv, "got timeout (60 s)")
        assert command == "pvecm delnode n2"
        self.deleted += 1
        if not self.entered:
            raise CommandError(argv, "exit code 255", "Node/IP: n2 is not a known host of the cluster.")
        return Result(0)


def _add(tmp_path: Path, member: Member) -> list[str]:
    host = Host(settings=Settings(root=tmp_path), node="n2", run=member)
    undo = UndoList()
    with pytest.raises(ClusterError, match="unable to add node"):
        join_ssh._add_node(host, JoinRequest("n1"), {0: Link("10.0.0.2")}, 1, undo)
    return undo.run(lambda text: None)


def test_an_entry_whose_answer_got_lost_is_taken_back(tmp_path: Path) -> None:
    member = Member(Result(0, "nodelist {\n}\n"))
    assert _add(tmp_path, member) == []
    assert member.deleted == 1


@pytest.mark.parametrize("shown", [Result(0, KNOWN), Result(255, "")])
def test_what_may_have_been_there_before_is_left_alone(tmp_path: Path, shown: Result) -> None:
    member = Member(shown)
    assert _add(tmp_path, member) == []
    assert member.deleted == 0


def test_a_refused_request_has_nothing_to_take_back(tmp_path: Path) -> None:
    member = Member(Result(0, ""))
    host = Host(settings=Settings(root=tmp_path), node="n2", run=member)
    join_ssh._delete_node(host, "n1")
    assert member.deleted == 1


def test_a_host_name_is_not_taken_for_an_option(tmp_path: Path) -> None:
    host = Host(settings=Settings(root=tmp_path), node="n2")
    with pytest.raises(ClusterError, match="is not a host name"):
        join_ssh.join_by_ssh(host, JoinRequest("-oProxyCommand=touch x"))
