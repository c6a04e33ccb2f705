"""The arguments of ./dev, the install list, and waiting."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.cli import main
from lab.handmade import corosync_conf
from lab.layer import ROOT, read_install
from lab.waiting import WaitTimeoutError, wait_for


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for command in ("setup", "demo", "test", "check", "history", "shell", "logs", "web", "down", "lab"):
        assert f"\n    {command} " in text


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nonsense"])
    assert ended.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["--nodes 2", "--minutes 0", "--kills -1"])
def test_a_history_check_that_would_check_nothing_is_refused(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lab.setup.ensure_setup", lambda **_: None)
    assert main(["history", *words.split()]) == 1
    assert capsys.readouterr().err


def test_everything_that_is_to_be_installed_is_there() -> None:
    entries = read_install(ROOT / "debian/install")
    assert entries
    for source, directory in entries:
        assert (ROOT / source).is_file(), source
        # a layer with /lib, /bin or /sbin would hide the base's links of these names
        assert directory.split("/")[0] in ("usr", "etc")


def test_an_install_line_of_three_words_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "install"
    file.write_text("a b c\n")
    with pytest.raises(Exception, match="expected 'SOURCE DIRECTORY'"):
        read_install(file)


def test_waiting_returns_what_came_and_says_what_did_not() -> None:
    answers = iter([0, 0, 5])
    assert wait_for(lambda: next(answers), timeout=5, what="five", period=0) == 5
    with pytest.raises(WaitTimeoutError, match=r"Waited 0 s for a wonder, in vain\. Seen instead:\nnothing"):
        wait_for(lambda: 0, timeout=0, what="a wonder", seen=lambda: "nothing")


def test_a_configuration_by_hand_names_every_node_and_link() -> None:
    text = corosync_conf(["n1", "n2"], 2, token=1234)
    assert text.count("nodeid:") == 2
    assert "ring1_addr: 10.77.1.2" in text
    assert "token: 1234" in text
    assert text.count("{") == text.count("}")
