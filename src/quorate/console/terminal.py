"""A program on a pseudo terminal of its own, and its certain end (guests 9.3)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

COLUMNS: Final = 80
ROWS: Final = 20
"""Until the client says how large its window is."""
HANGUP_SECONDS: Final = 3.0
"""Between the hang-up and SIGKILL; less than a task gets between SIGTERM and SIGKILL."""
_INTERRUPTS: Final = (signal.SIGTERM, signal.SIGINT)
"""Whoever ends the task has to wait for the end of its program."""
_TIOCGSID: Final = 0x5429
"""Whose terminal it is; Linux's number, which Python does not name."""
_NOT_FOUND: Final = 127


class Terminal:
    """Starts ``argv`` at once. ``fd`` is the side of whoever types and reads; it never blocks. ``exited``
    becomes readable when the program has ended. `end` must be called."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self.fd, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, _size(COLUMNS, ROWS))
        self.pid = os.fork()
        if self.pid == 0:
            _become(slave, argv, environment)
        os.close(slave)
        os.set_blocking(self.fd, False)
        self.exited = os.pidfd_open(self.pid)

    def resize(self, columns: int, rows: int) -> None:
        """Tell the program the size of the window (by SIGWINCH)."""
        with contextlib.suppress(OSError):  # it has just ended
            fcntl.ioctl(self.fd, termios.TIOCSWINSZ, _size(columns, rows))

    def end(self) -> int:
        """Hang up, as a modem would, and see that it has an effect; the program's exit status (-N: signal N).

        Closing the terminal sends SIGHUP to the shell that has it, which passes it on to its jobs. What of
        program and shell is still there after a while is killed. Jobs that a user has detached live on, as
        after any other logout.
        """
        processes = [*self._leader(), self.exited]
        os.close(self.fd)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
        try:
            for process in processes:
                _send(process, signal.SIGHUP)
            deadline = time.monotonic() + HANGUP_SECONDS
            for process in processes:
                if not _has_ended(process, deadline - time.monotonic()):
                    _send(process, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
        finally:
            for process in processes:
                os.close(process)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return os.waitstatus_to_exitcode(status)

    def _leader(self) -> list[int]:
        """The shell, where it is another process than the program: login gives the terminal to a child."""
        try:
            (session,) = struct.unpack("i", fcntl.ioctl(self.fd, _TIOCGSID, bytes(4)))
            return [os.pidfd_open(session)] if session not in (0, self.pid) else []
        except OSError:
            return []  # nobody has it any more


def _become(slave: int, argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """The new process: the program, with nothing of ours but the terminal."""
    try:
        os.login_tty(slave)
        # Python ignores the first two, whoever started us may have ignored the others; children inherit it.
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        os.execve(argv[0], list(argv), dict(environment))
    except OSError as err:
        os.write(2, f"unable to start '{argv[0]}': {err.strerror}\r\n".encode())
    finally:
        os._exit(_NOT_FOUND)


def _size(columns: int, rows: int) -> bytes:
    return struct.pack("HHHH", rows, columns, 0, 0)


def _send(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, number)


def _has_ended(process: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))
