"""Asks the monitors of all running VMs at once, within one short time for all (guests 7.4).

A monitor serves one client at a time: who comes while a migration talks to it waits in vain, as at one that
is stuck. Such a one is left alone for a while, so that it costs no further round its time.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from quorate.settings import Settings
from quorate.statd.failures import Failures
from quorate.statd.qmp import Conversation, MonitorFigures, QmpError

ANSWER_SECONDS: Final = 2.0
"""For all monitors of a round together."""
LEFT_ALONE_SECONDS: Final = 30.0
MAX_AT_ONCE: Final = 64
"""Open conversations; with the limit of each they bound the memory that monitors can make us use."""
READ_BYTES: Final = 1 << 16


@dataclass(slots=True)
class _Talk:
    vmid: int
    socket: socket.socket
    conversation: Conversation = field(default_factory=Conversation)


class Monitors:
    """Remembers which monitors did not answer, and as which process."""

    def __init__(
        self,
        settings: Settings,
        monotonic: Callable[[], float] = time.monotonic,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._answer_seconds = answer_seconds
        self._silent: dict[int, tuple[int, float]] = {}
        self._failures = Failures()

    def ask(self, machines: Mapping[int, int]) -> dict[int, MonitorFigures]:
        """``machines``: process by VM. Who did not answer is missing in the result."""
        now = self._monotonic()
        self._silent = {
            vmid: (pid, until)
            for vmid, (pid, until) in self._silent.items()
            if machines.get(vmid) == pid and now < until
        }
        self._failures.forget_others(self._what(vmid) for vmid in machines)
        found: dict[int, MonitorFigures] = {}
        for vmid, answer in self._talk([vmid for vmid in machines if vmid not in self._silent]).items():
            if isinstance(answer, MonitorFigures):
                found[vmid] = answer
                self._failures.ended(self._what(vmid))
            else:
                self._silent[vmid] = (machines[vmid], self._monotonic() + LEFT_ALONE_SECONDS)
                # No warning: during a migration it is as it should be.
                self._failures.began(self._what(vmid), answer, warn=False)
        return found

    @staticmethod
    def _what(vmid: int) -> str:
        return f"ask the monitor of VM {vmid}"

    def _talk(self, vmids: list[int]) -> dict[int, MonitorFigures | str]:
        """Figures or what went wrong; those whose turn did not come are missing."""
        ended: dict[int, MonitorFigures | str] = {}
        waiting = deque(vmids)
        talks: dict[int, _Talk] = {}
        deadline = self._monotonic() + self._answer_seconds
        with selectors.DefaultSelector() as selector:
            try:
                while (left := deadline - self._monotonic()) > 0:
                    while waiting and len(talks) < MAX_AT_ONCE:
                        self._begin(waiting.popleft(), selector, talks, ended)
                    if not talks:
                        break
                    for key, _ in selector.select(left):
                        if self._monotonic() >= deadline:
                            break
                        talk: _Talk = key.data
                        if (result := _continue(talk)) is not None:
                            ended[talk.vmid] = result
                            selector.unregister(talk.socket)
                            talks.pop(talk.vmid).socket.close()
                for vmid in talks:
                    ended[vmid] = f"no answer within {self._answer_seconds:g} s"
            finally:
                for talk in talks.values():
                    talk.socket.close()
        return ended

    def _begin(
        self,
        vmid: int,
        selector: selectors.BaseSelector,
        talks: dict[int, _Talk],
        ended: dict[int, MonitorFigures | str],
    ) -> None:
        talk = _Talk(vmid, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        try:
            # Connected at once, or refused: also when its queue is full, then by EAGAIN.
            talk.socket.connect(str(self._settings.at(f"/var/run/qemu-server/{vmid}.qmp")))
        except OSError as error:
            talk.socket.close()
            ended[vmid] = error.strerror or str(error)
            return
        selector.register(talk.socket, selectors.EVENT_READ, talk)
        talks[vmid] = talk


def _continue(talk: _Talk) -> MonitorFigures | str | None:
    """Hear what came and say what is to be said; the result at the end."""
    try:
        data = talk.socket.recv(READ_BYTES)
        if not data:
            return "it hung up"
        # What we say is less than 2 kB in all: it fits into the socket's buffer, whether it is read or not.
        talk.socket.sendall(talk.conversation.received(data))
    except BlockingIOError:
        return None
    except OSError as error:
        return error.strerror or str(error)
    except QmpError as error:
        return str(error)
    return talk.conversation.figures() if talk.conversation.done else None
