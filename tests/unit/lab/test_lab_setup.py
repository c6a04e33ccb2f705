"""What the set-up and its messages do when something is missing, in the way, or at work already."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from threading import Event, Thread

import pytest

from lab import checks, host, record, web
from lab.alone import alone, at_once, require_room
from lab.cli import main
from lab.errors import LabError
from lab.host import missing_of_machine
from lab.progress import COLUMNS, run_step, say
from lab.record import Record


def test_a_second_process_waits_for_the_first(tmp_path: Path) -> None:
    lock = tmp_path / "new" / "lock"
    order: list[str] = []
    started = Event()

    def second() -> None:
        started.set()
        with alone(lock, "does the same"):
            order.append("second")

    with alone(lock, "does it"):
        thread = Thread(target=second)
        thread.start()
        assert started.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_what_cannot_wait_is_refused_while_another_is_at_work(tmp_path: Path) -> None:
    with (
        at_once(tmp_path / "lock", "starts the demo"),
        pytest.raises(LabError, match="Another process starts the demo"),
        at_once(tmp_path / "lock", "starts the demo"),
    ):
        pytest.fail("two at a time")
    with at_once(tmp_path / "lock", "starts the demo"):
        pass


def test_too_little_room_is_said_before_the_work(tmp_path: Path) -> None:
    require_room(tmp_path / "not" / "there" / "yet", 0, "Nothing")
    with pytest.raises(
        LabError, match=rf"The tools: about 1000000000000 MiB are needed below {tmp_path}, and only"
    ):
        require_room(tmp_path / "not" / "there", 10**12, "The tools")


def test_a_module_that_is_not_loaded_yet_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Debian that was just started does not know overlay file systems before their first use."""
    device = tmp_path / "device"
    modprobe = tmp_path / "modprobe"
    modprobe.write_text(f'#!/bin/sh\n[ "$*" != "-q wanted" ] || touch {device}\n')
    modprobe.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(host, "KERNEL", ((str(device), "other", "which nobody has"),))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert any(f"There is no {device}, which nobody has" in fault for fault in missing_of_machine())
    monkeypatch.setattr(host, "KERNEL", ((str(device), "wanted", "which is there now"),))
    assert not any(str(device) in fault for fault in missing_of_machine())


@pytest.mark.parametrize("words", ["demo", "test", "history", "lab up", "bench"])
def test_what_no_set_up_can_bring_is_said_before_it(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise LabError("There is no /dev/fuse")

    monkeypatch.setattr("lab.cli.require_machine", refuse)
    monkeypatch.setattr("lab.setup.ensure_setup", lambda **_: pytest.fail("minutes of set-up for nothing"))
    assert main(words.split()) == 1
    assert capsys.readouterr().err == "There is no /dev/fuse\n"


def test_a_full_disk_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/var/x")

    def fail(**_: object) -> None:
        raise fault

    monkeypatch.setattr("lab.setup.ensure_setup", fail)
    assert main(["setup"]) == 1
    assert "Failed at /var/x: No space left on device. Make room" in capsys.readouterr().err
    fault = OSError(errno.EBADF, os.strerror(errno.EBADF))
    with pytest.raises(OSError, match="Bad file descriptor"):  # a fault of ours keeps its traceback
        main(["setup"])


def test_a_shell_in_no_node_names_the_node_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["shell"])
    assert capsys.readouterr().err.endswith("required: node\n")


def test_no_lab_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "STATE", tmp_path)
    with pytest.raises(LabError, match=r"\./dev demo"):
        Record.load("demo")


def test_sentences_fit_a_terminal_and_paths_stay_whole(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/a-very-long-directory/" + "x" * COLUMNS
    say(f"{'word ' * 30}{path}")
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == path
    assert all(len(line) <= COLUMNS for line in lines[:-1])


def test_a_failed_step_shows_its_end_and_the_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "logs/step.log"
    argv = ["sh", "-c", "pwd; echo the reason >&2; exit 3"]
    with pytest.raises(
        LabError, match=rf"(?s)sh ended with status 3.*{tmp_path}\nthe reason\n.*{log}\nDo that"
    ):
        run_step("A step", argv, log=log, cwd=tmp_path, advice="Do that")
    assert "A step: failed after" in capsys.readouterr().err


def test_output_of_a_silent_part_follows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "LOGS", tmp_path / "logs")
    code = checks._run_silent("web: types", (sys.executable, "-c", "import sys; print('wrong'); sys.exit(2)"))
    assert (code, capsys.readouterr().out) == (2, "wrong\n")


@pytest.mark.parametrize(
    ("version", "refused"), [("v18.20.4", False), ("v20.1.0", False), ("v16.3.0", True), ("", True)]
)
def test_an_old_node_of_the_machine_is_refused(
    version: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "node"
    node.write_text(f"#!/bin/sh\necho {version}\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if refused:
        with pytest.raises(LabError, match=r"need version 18\.18 or newer"):
            web._require_node()
    else:
        web._require_node()
