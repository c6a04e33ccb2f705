"""pvecm as a whole, below a root directory of the test's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quorate.cli import pvecm_status
from quorate.cli.commandtree import CommandFailed
from quorate.cli.pvecm import build_tree, main
from quorate.cli.pvecm_status import heading, parse_quorumtool
from quorate.corosync.conf import parse
from quorate.settings import Settings

CONF = (
    b"totem { cluster_name: prod config_version: 3 secauth: on }"
    b" nodelist { node { name: n1 nodeid: 1 ring0_addr: 10.0.0.1 }"
    b" node { name: n2 nodeid: 2 ring0_addr: 10.0.0.2 } node { name: n3 nodeid: 3 ring0_addr: 10.0.0.3 } }"
)
TOOL = """Quorum information
------------------
Date:             Tue Sep 14 11:06:47 2021
Quorum provider:  corosync_votequorum
Nodes:            2
Node ID:          0x00000001
Ring ID:          1.1a8
Quorate:          Yes

Votequorum information
----------------------
Expected votes:   4
Highest expected: 4
Total votes:      3
Quorum:           3  
Flags:            Quorate Qdevice 

Membership information
----------------------
    Nodeid      Votes    Qdevice Name
0x00000001          1    A,V,NMW 10.0.0.1 (local)
0x00000002          1    A,V,NMW 10.0.0.2
0x00000000          1            Qdevice
"""  # noqa: W291 - the tool's own trailing blanks


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(root=tmp_path)
    found.mountpoint.mkdir(parents=True)
    (found.mountpoint / "local").symlink_to("nodes/n1")
    return found


def test_apiver_is_a_bare_integer(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apiv"], settings) == 0
    assert capsys.readouterr().out == "1\n"


@pytest.mark.parametrize(
    ("argv", "first"),
    [
        ([], "ERROR: no command specified"),
        (["foo"], "ERROR: unknown command 'pvecm foo'"),
        (["qdevice"], "ERROR: incomplete command 'pvecm qdevice'"),
        (["qdevice", "x"], "ERROR: unknown command 'pvecm qdevice x'"),
        (["help", "foo"], "ERROR: unknown command 'foo'"),
    ],
)
def test_wrong_commands(
    settings: Settings, capsys: pytest.CaptureFixture[str], argv: list[str], first: str
) -> None:
    assert main(argv, settings) == 255
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == [first, "USAGE: pvecm <COMMAND> [ARGS] [OPTIONS]", ""]
    assert lines[3] == "       pvecm qdevice remove"


def test_a_wrong_parameter_is_shown_with_the_usage(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["create", "a-name-that-is-too-long"], settings) == 255
    assert capsys.readouterr().err == (
        "400 Parameter verification failed.\n"
        "clustername: value may only be 15 characters long\n"
        "pvecm create <clustername> [OPTIONS]\n"
    )


def test_without_the_file_system(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"], Settings(root=tmp_path)) == 255
    assert capsys.readouterr().err == "pve configuration filesystem (pmxcfs) not mounted\n"


@pytest.mark.parametrize("argv", [["status"], ["nodes"], ["expected", "1"]])
def test_outside_a_cluster(settings: Settings, capsys: pytest.CaptureFixture[str], argv: list[str]) -> None:
    assert main(argv, settings) == 2
    assert capsys.readouterr().err == (
        f"Error: Corosync config '{settings.cluster_conf}' does not exist - is this node part of a cluster?\n"
    )


def test_create_is_refused_in_a_cluster(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    settings.cluster_conf.write_bytes(CONF)
    assert main(["create", "c"], settings) == 255
    assert capsys.readouterr().err == f"cluster config '{settings.cluster_conf}' already exists\n"
    assert not settings.task_dir.exists()


def test_add_is_refused_inside_the_mount(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(settings.mountpoint)
    assert main(["add", "10.0.0.1"], settings) == 255
    assert capsys.readouterr().err.startswith("Navigate out of ")


def test_the_heading_of_status() -> None:
    assert heading(parse(CONF)) == [
        "Cluster information",
        "-------------------",
        "Name:             prod",
        "Config Version:   3",
        "Transport:        knet",
        "Secure auth:      on",
        "",
    ]
    assert heading(parse(b"totem { version: 2 }"))[2:6] == [
        "Name:             UNKOWN?",
        "Config Version:   -1",
        "Transport:        knet",
        "Secure auth:      off",
    ]


def test_status_as_data() -> None:
    data = parse_quorumtool(TOOL, parse(CONF))
    assert data["quorum"]["quorate"] is True
    assert data["quorum"]["ring_id"] == "1.1a8"
    assert data["votequorum"] == {
        "expected_votes": 4,
        "highest_expected": 4,
        "total_votes": 3,
        "quorum": 3,
        "flags": ["Quorate", "Qdevice"],
    }
    assert data["members"][0] == {
        "nodeid": 1,
        "name": "n1",
        "votes": 1,
        "address": "10.0.0.1",
        "local": True,
        "links": {"0": "10.0.0.1"},
        "qdevice": ["A", "V", "NMW"],
    }
    assert data["offline"] == ["n3"]
    assert data["qdevice"] == {"votes": 1, "name": "Qdevice"}
    assert json.loads(json.dumps(data)) == data


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pvecm add", ["add", "addnode"]),
        ("pvecm qdevice ", ["remove", "setup"]),
        ("pvecm status --o", ["--output-format"]),
        ("pvecm nonsense ", []),
    ],
)
def test_completion(settings: Settings, line: str, expected: list[str]) -> None:
    assert build_tree(settings).completions(line, len(line)) == expected


def test_updatecerts_without_quorum_is_silent_only_when_asked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from quorate.cluster import nodefiles

    def late(*_args: object, **_kwargs: object) -> None:
        raise nodefiles.UpdateTimeoutError("late")

    monkeypatch.setattr(nodefiles, "updatecerts", late)
    assert main(["updatecerts"], settings) == 255
    assert main(["updatecerts", "--silent"], settings) == 0
    assert capfd.readouterr().err == f"{nodefiles.UPDATE_TIMEOUT_TEXT}\n" * 2


def test_the_quorum_tool_does_not_hang_with_corosync(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings.cluster_conf.write_bytes(CONF)
    tool = tmp_path / "tool"
    tool.write_text('#!/bin/sh\necho "$@"\nexit 2\n')
    tool.chmod(0o755)
    monkeypatch.setattr(pvecm_status, "TOOL", str(tool))
    assert pvecm_status.quorumtool(settings, ["-e", "1"]) == 2
    assert capfd.readouterr().out == "-e 1\n"
    tool.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(pvecm_status, "TOOL_SECONDS", 0.1)
    with pytest.raises(CommandFailed, match="does corosync hang") as failed:
        pvecm_status.status(settings, "text")
    assert failed.value.status == 1
    monkeypatch.setattr(pvecm_status, "TOOL", str(tmp_path / "none"))
    with pytest.raises(CommandFailed, match="unable to run") as failed:
        pvecm_status.quorumtool(settings, [])
    assert failed.value.status == 127
