"""Ask a service's supervisor for new workers and wait until only they take connections (pvecm 11).

SIGHUP asks. The answer is a datagram to an abstract socket whose name has the asker's process id; who asks
without such a socket (``kill -HUP``) gets none. So `systemctl reload`, and a join that ends with it, return
when the new certificate is the one that is shown.
"""

from __future__ import annotations

import os
import signal
import socket
from typing import Final

ANSWER_SECONDS: Final = 80.0
"""Systemd gives a reload 90 s."""
_DONE: Final = b"done"
_FAILED: Final = b"failed"


class RestartError(Exception):
    """No new worker serves; the text says what to do."""


def ask_for_restart(supervisor: int, seconds: float = ANSWER_SECONDS) -> None:
    """Have the workers replaced and wait for it. Raises `RestartError`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waiting:
        waiting.bind(_name(os.getpid()))
        waiting.settimeout(seconds)
        try:
            os.kill(supervisor, signal.SIGHUP)
            said = waiting.recv(len(_FAILED))
        except TimeoutError as err:
            raise RestartError(
                f"no new worker serves after {seconds:.0f} s; the one before goes on until it does"
            ) from err
        except OSError as err:
            raise RestartError(f"unable to ask process {supervisor}: {err.strerror}") from err
    if said != _DONE:
        raise RestartError("the new worker did not start, the one before goes on; the service's log says why")


def answer(asker: int, *, done: bool) -> None:
    """Tell the process that asked, if it waits."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as telling:
        try:
            telling.sendto(_DONE if done else _FAILED, _name(asker))
        except OSError:  # it does not wait, or not any more
            return


def _name(asker: int) -> bytes:
    return b"\0quorate-restart-%d" % asker
