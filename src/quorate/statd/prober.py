"""Asks other programs in a way that a hanging one holds up nobody: neither other questions nor the round.

A program that is stuck in the kernel (a dead network share, a lost disk) cannot even be ended. So every
question is a process of its own, a round waits for all its questions together and briefly, and an answer
that comes later is taken in a later round.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO, Final, NamedTuple

from quorate.cluster.commands import COMMAND_PATH

WAIT_SECONDS: Final = 2.0
"""For all questions of a round together."""
FRESH_SECONDS: Final = 30.0
"""Half of the step of the RRD files: an answer is given again for so long."""
KEPT_SECONDS: Final = 60.0
"""An answer stands in for the next one while that one is late; the RRD files bridge 120 s."""
END_SECONDS: Final = 60.0
"""Who has not answered by then is killed. If that does not help it is waited for, and not asked again."""
SLOW_SECONDS: Final = 600.0
"""Who was late is not waited for in a round again for so long."""
MAX_AT_ONCE: Final = 16
MAX_KNOWN: Final = 4096
MAX_OUTPUT: Final = 1 << 20
"""Bytes of an answer; 5000 logical volumes are some 600 kB."""
MAX_ERROR: Final = 2000
"""Bytes of what a program says about its failure."""
READ_BYTES: Final = 1 << 16
CLOSE_SECONDS: Final = 0.2


class Question(NamedTuple):
    """``name`` stands for the same question in every round."""

    name: str
    argv: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a program printed, or why there is nothing."""

    text: str = ""
    failure: str | None = None
    refused: bool = False
    """It said so itself, by its exit status."""
    late: bool = False
    """It may still come."""


@dataclass(slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    pidfd: int
    program: str
    since: float
    kept: dict[str, bytearray] = field(default_factory=lambda: {"out": bytearray(), "err": bytearray()})
    killed: str | None = None

    def pipes(self) -> list[tuple[str, IO[bytes]]]:
        found = (("out", self.process.stdout), ("err", self.process.stderr))
        return [(name, pipe) for name, pipe in found if pipe is not None and not pipe.closed]

    def release(self) -> None:
        os.close(self.pidfd)
        for _, pipe in self.pipes():
            pipe.close()


class Prober:
    """Remembers answers, and who still waits."""

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._monotonic = monotonic
        self._wait_seconds = wait_seconds
        self._known: dict[str, tuple[float, Answer]] = {}
        self._running: dict[str, _Running] = {}
        self._slow: dict[str, float] = {}

    def ask(self, questions: Iterable[Question]) -> dict[str, Answer]:
        """By name, for every question."""
        asked = {question.name: question for question in questions}
        now = self._monotonic()
        self._slow = {name: until for name, until in self._slow.items() if now < until}
        for name in list(self._running):
            self._collect(name)
        waiting = deque(
            question
            for name, question in asked.items()
            if name not in self._running and self._known_for(name, FRESH_SECONDS) is None
        )
        self._run(waiting, now + self._wait_seconds)
        return {name: self._answer(name) for name in asked}

    def close(self) -> None:
        """End what still runs."""
        for running in self._running.values():
            running.process.kill()
            # Not waited for where the kernel does not let it go: it is then init's.
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(CLOSE_SECONDS)
            running.release()
        self._running.clear()

    def _run(self, waiting: deque[Question], deadline: float) -> None:
        """Begin all, at most some at once, and collect until none is left or the time is over."""
        begun: set[str] = set()
        while True:
            while waiting and len(begun) < MAX_AT_ONCE:
                question = waiting.popleft()
                if self._begin(question) and question.name not in self._slow:
                    begun.add(question.name)
            left = deadline - self._monotonic()
            if not begun or left <= 0:
                break
            with selectors.DefaultSelector() as selector:
                for name in begun:
                    running = self._running[name]
                    selector.register(running.pidfd, selectors.EVENT_READ, name)
                    for _, pipe in running.pipes():
                        selector.register(pipe, selectors.EVENT_READ, name)
                ready = {key.data for key, _ in selector.select(left)}
            begun -= {name for name in ready if self._collect(name)}
        until = self._monotonic() + SLOW_SECONDS
        self._slow.update(dict.fromkeys(begun, until))

    def _begin(self, question: Question) -> bool:
        program = question.argv[0]
        try:
            process = subprocess.Popen(
                question.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd="/",
                env={"PATH": COMMAND_PATH, "LC_ALL": "C"},
            )
        except FileNotFoundError:
            self._learn(question.name, Answer(failure=f"'{program}' is not installed"))
            return False
        except OSError as error:
            self._learn(question.name, Answer(failure=f"unable to run '{program}': {error.strerror}"))
            return False
        running = _Running(process, os.pidfd_open(process.pid), program, self._monotonic())
        for _, pipe in running.pipes():
            os.set_blocking(pipe.fileno(), False)
        self._running[question.name] = running
        return True

    def _collect(self, name: str) -> bool:
        """Take what it printed; whether it has ended. Ends it when it prints or waits too much."""
        running = self._running[name]
        too_much = _read(running)
        if running.process.poll() is None:
            late = self._monotonic() - running.since > END_SECONDS
            if running.killed is None and (too_much or late):
                running.killed = (
                    f"printed more than {MAX_OUTPUT} bytes"
                    if too_much
                    else f"did not end within {END_SECONDS:g} s"
                )
                running.process.kill()
            return False
        _read(running)  # between the two it may have said more, and ended
        running.release()
        del self._running[name]
        self._learn(name, _judge(running))
        return True

    def _learn(self, name: str, answer: Answer) -> None:
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[name] = (self._monotonic(), answer)

    def _known_for(self, name: str, seconds: float) -> Answer | None:
        """The last answer if it is no older."""
        since, answer = self._known.get(name, (0.0, None))
        return answer if self._monotonic() - since < seconds else None

    def _answer(self, name: str) -> Answer:
        known = self._known_for(name, KEPT_SECONDS)
        if known is not None:
            return known
        running = self._running.get(name)
        if running is None:
            return Answer(failure="its turn has not come yet", late=True)
        if running.killed is None:
            return Answer(failure=f"'{running.program}' has not answered yet", late=True)
        return Answer(failure=f"'{running.program}' {running.killed}")


def _read(running: _Running) -> bool:
    """Whether there is more than the limit of answers."""
    for name, pipe in running.pipes():
        kept = running.kept[name]
        limit = MAX_OUTPUT if name == "out" else MAX_ERROR
        while (data := pipe.read(READ_BYTES)) and len(kept) <= limit:
            kept += data
        if data == b"":
            pipe.close()  # its end, which would be ready for ever
    return len(running.kept["out"]) > MAX_OUTPUT


def _judge(running: _Running) -> Answer:
    """Of a program that has ended."""
    status = running.process.returncode
    if running.killed is not None:
        return Answer(failure=f"'{running.program}' {running.killed}")
    if len(running.kept["out"]) > MAX_OUTPUT:
        return Answer(failure=f"'{running.program}' printed more than {MAX_OUTPUT} bytes")
    if status:
        reason = f"got signal {-status}" if status < 0 else f"exit code {status}"
        said = running.kept["err"][:MAX_ERROR].decode("utf-8", "replace").strip()
        text = f"'{running.program}' failed: {reason}{': ' if said else ''}{said}"
        return Answer(failure=text, refused=status > 0)
    return Answer(text=running.kept["out"].decode("utf-8", "replace"))
