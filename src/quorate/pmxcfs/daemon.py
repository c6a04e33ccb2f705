"""The process: start-up in order, detaching, signals, regular end (core 1.3). The work is in ``node``."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import Final

from quorate.pmxcfs import logs
from quorate.pmxcfs.node import Node
from quorate.pmxcfs.startup import (
    Identity,
    StartupError,
    identify,
    make_directories,
    set_restart_flag,
    take_lock,
    write_pidfile,
)
from quorate.settings import Settings

EXIT_FAILURE: Final = 255
UMASK: Final = 0o027
READY: Final = b"1"


def run(settings: Settings, *, local: bool, foreground: bool, debug: bool) -> int:
    """Be the daemon, or start it and wait until it serves. Returns the exit code."""
    logs.set_up(debug=debug)
    log = logs.domain("main")
    try:
        identity = identify()
        os.umask(UMASK)
        make_directories(settings, identity.gid)
        take_lock(settings.lockfile)
        if foreground:
            return _serve(settings, identity, local=local, ready=None)
        return _detach(settings, identity, local=local)
    except StartupError as error:
        log.critical("%s", error)
        return EXIT_FAILURE


def _detach(settings: Settings, identity: Identity, *, local: bool) -> int:
    """Fork before any thread exists and before the database is open (W14). The parent waits for the child."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        code = EXIT_FAILURE
        try:
            code = _serve(settings, identity, local=local, ready=writer)
        except StartupError as error:
            logs.domain("main").critical("%s", error)
        finally:
            logging.shutdown()
            os._exit(code)
    os.close(writer)
    answer = os.read(reader, 1)
    os.close(reader)
    if answer == READY:
        try:
            write_pidfile(settings.pidfile, pid)
        except StartupError:
            os.kill(pid, signal.SIGTERM)  # nobody could stop it by its pid file
            raise
        return 0
    os.waitpid(pid, 0)  # it ended, or is about to: its end of the pipe is closed
    return EXIT_FAILURE


def _serve(settings: Settings, identity: Identity, *, local: bool, ready: int | None) -> int:
    """Serve until told to stop. ``ready``: where to say that we do, when detached."""
    node = Node(settings, identity, local=local)
    try:
        node.open()
        node.mount()
        if ready is None:
            write_pidfile(settings.pidfile, os.getpid())
    except StartupError:
        node.abandon()
        raise
    _catch_signals(node)
    settings.restart_flag.unlink(missing_ok=True)
    if ready is not None:
        _let_go(ready)
    node.log.info("serving %s", settings.mountpoint)
    try:
        node.run()
    except Exception:
        # Detached, there is no other place where anybody would see it.
        node.log.critical("internal error; ending without a regular stop", exc_info=True)
        raise
    try:
        set_restart_flag(settings, identity.gid)
    except OSError as error:
        node.log.warning("cannot write %s: %s", settings.restart_flag, error.strerror)
    node.close()
    settings.pidfile.unlink(missing_ok=True)
    node.log.info("ended")
    return 0


def _catch_signals(node: Node) -> None:
    """What is ignored at the start stays ignored."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: node.loop.stop())
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    threading.excepthook = _thread_failed


def _thread_failed(failure: threading.ExceptHookArgs) -> None:
    name = failure.thread.name if failure.thread else "?"
    logs.domain("main").critical("thread %s failed", name, exc_info=failure.exc_value)


def _let_go(ready: int) -> None:
    """Detach from the terminal and tell the parent that the file system is served."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    if null > 2:
        os.close(null)
    logs.stop_stderr()
    os.setsid()
    os.write(ready, READY)
    os.close(ready)
