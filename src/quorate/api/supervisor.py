"""The process of a service that stays, and holds the listening socket; workers serve on it (pvecm 11).

SIGHUP replaces the worker: a new one is started from what lies on disk now - program, interpreter,
configuration. Once it serves, the one before takes no new connections, finishes what it has begun and ends,
and this process executes itself anew. A worker that cannot start changes nothing. The socket is never
closed for it, so that no client is refused. SIGTERM ends all.

What is imported here stays in memory twice: it is little.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from quorate.api.restarting import answer
from quorate.api.supervision import Answer, Effect, Exit, Renew, Send, Spawn, Workers
from quorate.pidfile import name_process, names_process

_log = logging.getLogger(__name__)

ADDRESS_SECONDS: Final = 5.0
"""How long an address may still be in use by a process that is ending."""
RETRY_SECONDS: Final = 0.1
FAILED: Final = 1

_STATE: Final = "QUORATE_SUPERVISOR"
"""What a supervisor tells its own next image, in the environment."""
_WORKER: Final = "QUORATE_WORKER"
"""What makes a process a worker: descriptor of the socket and process id of the supervisor."""
_TOLD: Final = signal.SIGRTMIN
"""A worker has something to tell. Signals of this kind queue up, others of the same number become one."""
_WATCHED: Final = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, _TOLD})
_PR_SET_PDEATHSIG: Final = 1

Tell = Callable[[], None]


class ServiceError(Exception):
    """The service cannot run; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What a supervisor runs. Everything may raise `ServiceError`.

    ``what``: what it listens on, for people; ``place``: where to listen, by the configuration as it is now;
    ``prepare``: once, before anything is opened; ``listen``: the socket for a place (OSError where that is
    not to be had); ``serve``: a worker's life: serve on the socket, call ``tell`` when it does; after
    SIGHUP take no new connections, call ``tell`` again, finish and return; return after SIGTERM.
    ``pidfile`` names the supervisor for whoever watches processes by such files; nothing here reads it.
    """

    what: str
    place: Callable[[], str]
    prepare: Callable[[], None]
    listen: Callable[[str], socket.socket]
    serve: Callable[[socket.socket, Tell], None]
    pidfile: Path


def run_service(service: Service) -> None:
    """Be the supervisor until SIGTERM, or, in a process that a supervisor started, one of its workers."""
    worker = os.environ.pop(_WORKER, None)
    if worker is not None:
        _work(service, *map(int, worker.split(":")))
        return
    _Supervisor(service, os.environ.pop(_STATE, None)).run()


def _work(service: Service, fd: int, supervisor: int) -> None:
    # Nobody would replace or end a worker without its supervisor, and its socket would be in the way.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        raise ServiceError("the supervisor has gone")
    listening = socket.socket(fileno=fd)
    listening.set_inheritable(False)
    listening.setblocking(False)
    service.serve(listening, lambda: os.kill(supervisor, _TOLD))


class _Supervisor:
    def __init__(self, service: Service, told: str | None) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        self._service = service
        self._workers = Workers()
        if told is None:
            self._place = service.place()
            service.prepare()
            self._socket = self._listen(self._place)
        else:
            state: dict[str, Any] = json.loads(told)
            self._place = state["place"]
            self._socket = socket.socket(fileno=state["fd"])
            self._workers = Workers(
                state["current"],
                state["since"],
                set(state["ending"]),
                leaving=set(state["leaving"]),
                askers=set(state["askers"]),
            )
        self._write_pid()
        self._fresh = told is None
        self._ended: Exit | None = None

    def run(self) -> None:
        """Until told to stop. Raises `ServiceError` when the service failed."""
        if self._fresh:
            self._carry_out([Spawn()])
        while self._ended is None:
            self._carry_out(self._events())
        self._socket.close()
        if names_process(self._service.pidfile):
            with contextlib.suppress(OSError):
                self._service.pidfile.unlink()
        if self._ended.failed:
            raise ServiceError("there is no worker any more: see what it said before")

    def _write_pid(self) -> None:
        """What executed itself anew has kept its id, and the file."""
        path = self._service.pidfile
        if names_process(path):
            return
        try:
            name_process(path)
        except OSError as err:
            _log.warning("unable to write '%s': %s", path, err.strerror)

    def _events(self) -> list[Effect]:
        """Wait for what happens next."""
        workers = self._workers
        deadline = workers.deadline()
        wait = 3600.0 if deadline is None else max(0.0, deadline - time.monotonic())
        info = signal.sigtimedwait(_WATCHED, wait)
        now = time.monotonic()
        if info is None:
            return workers.overdue(now)
        if info.si_signo == signal.SIGHUP:
            return workers.restart(info.si_pid)
        if info.si_signo == _TOLD:
            return workers.told(info.si_pid, now)
        if info.si_signo == signal.SIGCHLD:
            return [effect for pid, status in _reaped() for effect in self._died(pid, status, now)]
        return workers.stop(now)

    def _died(self, pid: int, status: int, now: float) -> list[Effect]:
        workers = self._workers
        if status != 0 and not workers.stopping:
            goes_on = f", {workers.current} goes on" if workers.current not in (None, pid) else ""
            _log.error("worker %d %s%s", pid, _how_it_ended(status), goes_on)
        return workers.died(pid, now)

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Spawn():
                    self._spawn()
                case Send(pid, number):
                    # Not reaped yet, so nobody else has this id
                    os.kill(pid, number)
                case Renew():
                    self._renew()
                case Answer(askers, done):
                    for asker in askers:
                        answer(asker, done=done)
                case Exit():
                    self._ended = effect

    def _spawn(self) -> None:
        try:
            place = self._service.place()
        except ServiceError as err:
            self._not_spawned(str(err))
            return
        if place != self._place:
            self._move(place)
        environment = {**os.environ, _WORKER: f"{self._socket.fileno()}:{os.getpid()}"}
        self._socket.set_inheritable(True)
        try:
            pid = os.posix_spawn(sys.executable, _argv(), environment, setsigmask=())
        except OSError as err:
            self._not_spawned(f"unable to execute '{sys.executable}': {err.strerror}")
        else:
            self._workers.spawned(pid, time.monotonic())
        finally:
            self._socket.set_inheritable(False)

    def _not_spawned(self, why: str) -> None:
        current = self._workers.current
        _log.error("no new worker%s: %s", "" if current is None else f", {current} goes on", why)
        self._carry_out(self._workers.not_spawned())

    def _move(self, place: str) -> None:
        """Listen elsewhere. The only restart in which clients may be refused: two places may overlap."""
        if self._workers.current is not None:
            os.kill(self._workers.current, signal.SIGHUP)  # it has the socket too, and closes it now
        self._socket.close()
        self._socket = self._listen(place)
        self._place = place

    def _listen(self, place: str) -> socket.socket:
        deadline = time.monotonic() + ADDRESS_SECONDS
        while True:
            try:
                return self._service.listen(place)
            except OSError as err:
                if err.errno != errno.EADDRINUSE or time.monotonic() >= deadline:
                    raise ServiceError(f"unable to listen on {self._service.what}: {err.strerror}") from err
            time.sleep(RETRY_SECONDS)

    def _renew(self) -> None:
        workers = self._workers
        state = {
            "place": self._place,
            "fd": self._socket.fileno(),
            "current": workers.current,
            "since": workers.since,
            "ending": sorted(workers.ending),
            "leaving": sorted(workers.leaving),
            "askers": sorted(workers.askers),
        }
        self._socket.set_inheritable(True)
        try:
            # Blocked signals stay blocked, those that wait are delivered to the next image.
            os.execve(sys.executable, _argv(), {**os.environ, _STATE: json.dumps(state)})
        except OSError as err:
            _log.error("unable to execute '%s' anew: %s", sys.executable, err.strerror)
            self._socket.set_inheritable(False)


def _argv() -> list[str]:
    """What started this process, once more."""
    return [sys.executable, *sys.orig_argv[1:]]


def _reaped() -> list[tuple[int, int]]:
    """Children that have ended, with their status."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        found.append((pid, status))


def _how_it_ended(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    return f"ended with status {os.WEXITSTATUS(status)}"
