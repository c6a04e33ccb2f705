"""Programs are asked together; one that hangs, floods or fails holds up no other and no later round."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.waiting import wait_for
from quorate.statd import prober as prober_module
from quorate.statd.prober import (
    END_SECONDS,
    FRESH_SECONDS,
    KEPT_SECONDS,
    MAX_AT_ONCE,
    Answer,
    Prober,
    Question,
)

LONG = 3600.0
"""A round that waited for what it must not wait for would take so long, and the test with it."""


class Clock:
    """Stands still while a round runs, unless it is told to pass."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@contextmanager
def made(clock: Clock, wait_seconds: float = LONG) -> Iterator[Prober]:
    prober = Prober(clock, wait_seconds)
    try:
        yield prober
    finally:
        prober.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def prober(clock: Clock) -> Iterator[Prober]:
    with made(clock) as found:
        yield found


def shell(name: str, script: str) -> Question:
    return Question(name, ("/bin/sh", "-c", script))


def ask(prober: Prober, *questions: Question) -> list[Answer]:
    return list(prober.ask(questions).values())


def test_answers_and_failures(prober: Prober) -> None:
    said, failed, killed, missing, forbidden = ask(
        prober,
        shell("a", "echo hello; echo oops >&2"),
        shell("b", "echo bad disk >&2; exit 5"),
        shell("c", "kill -9 $$"),
        Question("d", ("/nowhere/vgs",)),
        Question("e", ("/etc/passwd",)),
    )
    assert said == Answer(text="hello\n")
    assert failed == Answer(failure="'/bin/sh' failed: exit code 5: bad disk", refused=True)
    assert killed == Answer(failure="'/bin/sh' failed: got signal 9")
    assert missing == Answer(failure="'/nowhere/vgs' is not installed")
    assert forbidden == Answer(failure="unable to run '/etc/passwd': Permission denied")


def test_programs_get_a_plain_surrounding(prober: Prober, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    (answer,) = ask(prober, shell("a", 'env | sort; pwd; test -z "$(cat)"'))
    lines = [
        line for line in answer.text.splitlines() if not line.startswith(("PWD=", "_=", "SHLVL=", "OLDPWD="))
    ]
    assert lines == ["LC_ALL=C", "PATH=/sbin:/bin:/usr/sbin:/usr/bin", "/"]


def test_an_answer_is_given_again_for_a_while(prober: Prober, clock: Clock, tmp_path: Path) -> None:
    counted = shell("a", f"echo x >> {tmp_path}/asked; wc -l < {tmp_path}/asked")
    texts = []
    for seconds in (0.0, FRESH_SECONDS - 1, 2.0):
        clock.now += seconds
        texts.append(ask(prober, counted)[0].text.strip())
    assert texts == ["1", "1", "2"]


def test_more_questions_than_are_asked_at_once(prober: Prober) -> None:
    questions = [shell(str(number), f"echo {number}") for number in range(3 * MAX_AT_ONCE)]
    assert [answer.text for answer in ask(prober, *questions)] == [f"{n}\n" for n in range(3 * MAX_AT_ONCE)]


def test_a_flood_is_ended_and_much_is_taken(prober: Prober, monkeypatch: pytest.MonkeyPatch) -> None:
    flood, much, complaints = ask(
        prober,
        shell("a", "exec cat /dev/zero"),
        shell("b", "head -c 1000000 /dev/zero"),
        shell("c", "head -c 1000000 /dev/zero >&2; echo done"),
    )
    assert flood.failure == "'/bin/sh' printed more than 1048576 bytes"
    assert len(much.text) == 1_000_000
    assert complaints.text == "done\n"
    monkeypatch.setattr(prober_module, "MAX_OUTPUT", 10)
    assert ask(prober, shell("d", "echo more than that"))[0].failure == "'/bin/sh' printed more than 10 bytes"


def test_who_closes_its_output_is_waited_for_until_it_ends(prober: Prober) -> None:
    (answer,) = ask(prober, shell("a", "echo early; exec >&- 2>&-; sleep 0.2; exit 3"))
    assert answer.failure == "'/bin/sh' failed: exit code 3"


def gate(path: Path) -> Question:
    """Answers when somebody opens the other end."""
    os.mkfifo(path)
    return shell("slow", f"cat {path}")


def test_a_late_answer_is_taken_later_and_its_question_costs_no_second_wait(
    clock: Clock, tmp_path: Path
) -> None:
    not_yet = Answer(failure="'/bin/sh' has not answered yet", late=True)
    slow, quick = gate(tmp_path / "gate"), shell("quick", "echo quick")
    with made(clock, 3.0) as prober:
        clock.step = 1.0  # the round's time passes
        assert prober.ask([slow])["slow"] == not_yet
        clock.step = 0.0
        prober._wait_seconds = LONG
        answers = prober.ask([slow, quick])
        assert (answers["slow"], answers["quick"].text) == (not_yet, "quick\n")
        (tmp_path / "gate").write_text("at last")
        assert wait_for(lambda: prober.ask([slow])["slow"].text, timeout=20, what="late answer") == "at last"

        # Asked again, it is not waited for, and its last answer stands in until it is too old
        clock.now += FRESH_SECONDS + 1
        assert prober.ask([slow])["slow"].text == "at last"
        clock.now += KEPT_SECONDS
        assert prober.ask([slow])["slow"] == not_yet


def test_one_that_hangs_is_killed_and_never_asked_twice_at_once(clock: Clock, tmp_path: Path) -> None:
    hanging = gate(tmp_path / "gate")
    with made(clock, 0.01) as prober:
        clock.step = 1.0
        prober.ask([hanging])
        clock.step = 0.0
        (running,) = prober._running.values()
        kill, killed = running.process.kill, []

        def stuck() -> None:
            """As a process that waits in the kernel."""
            killed.append(running)

        running.process.kill = stuck  # type: ignore[method-assign]
        clock.now += END_SECONDS + 1
        for _ in range(3):
            assert prober.ask([hanging])["slow"] == Answer(failure="'/bin/sh' did not end within 60 s")
            assert list(prober._running.values()) == [running]
        assert len(killed) == 1
        kill()
        wait_for(lambda: prober.ask([hanging]) and not prober._running, timeout=20, what="the program's end")
        assert prober.ask([hanging])["slow"] == Answer(failure="'/bin/sh' did not end within 60 s")


def test_the_end_leaves_nothing_behind(clock: Clock, tmp_path: Path) -> None:
    with made(clock, 0.01) as prober:
        clock.step = 1.0
        prober.ask([gate(tmp_path / "gate")])
        (running,) = prober._running.values()
        assert isinstance(running.process, subprocess.Popen)
        assert running.process.poll() is None
    assert running.process.returncode == -9
