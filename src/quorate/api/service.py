"""The life of an API process: command words, signals, sockets, logs (pvecm 11). Answers are elsewhere."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import grp
import importlib
import logging
import os
import pwd
import re
import signal
import socket
import ssl
import subprocess
import sys
import syslog
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from aiohttp import web

from quorate.api.executor import Executor
from quorate.api.front import Front
from quorate.api.listener import Listener, client_address, open_socket
from quorate.api.memberaddresses import MemberAddresses
from quorate.api.operations import make_router
from quorate.api.privileged import Privileged, make_work
from quorate.api.proxyconfig import ProxyConfig
from quorate.api.server import HttpServer
from quorate.api.tls import TlsError, load_certificate, read_proxy_config, tls_context
from quorate.api.upkeep import Upkeep
from quorate.cfs import Cfs
from quorate.processname import set_process_name
from quorate.settings import API_PORT, GROUP, Settings
from quorate.tasks import TaskStore, TaskStoreError, local_node

_log = logging.getLogger(__name__)

STOP_SECONDS: Final = 10.0
"""What running requests get at the end; systemd waits longer than this."""
SYSTEMCTL_SECONDS: Final = 90.0
FAILED: Final = 1
_PRELOADED = ("quorate.cluster.create", "quorate.cluster.join", "quorate.cluster.membership")
"""What calls import when they need it: loaded once before the helper is forked, not again in each call."""

_SECRET_IN_QUERY = re.compile(r"([?&;][\w-]*(?:password|ticket|otp|challenge)=)[^&;\s]*", re.IGNORECASE)
"""Parameters may come in the query of any method; what they hold is nothing for a log."""


class ServiceError(Exception):
    """The process cannot start; the text says why and what to do."""


def command_line(name: str, description: str, run: Callable[[Settings], None]) -> None:
    """The daemon's command: ``start [--foreground] [--debug]``, ``stop``, ``restart``, ``status``."""
    parser = argparse.ArgumentParser(prog=name, description=description)
    words = parser.add_subparsers(dest="word", required=True)
    start = words.add_parser("start", help="start the service, or serve in this process with --foreground")
    start.add_argument(
        "--foreground", action="store_true", help="serve in this process, log to standard error"
    )
    start.add_argument(
        "--debug", nargs="?", const="1", default="0", help="log more, and stay in the foreground"
    )
    words.add_parser("stop", help="stop the service")
    words.add_parser("restart", help="restart the service, or let it read its configuration again")
    words.add_parser("status", help="print running or stopped")
    options = parser.parse_args()
    # Also for the workers that are forked: their lines are the service's, not those of a file name
    set_process_name(name)
    syslog.openlog(os.environ.get("PVE_LOG_ID") or name, 0, syslog.LOG_DAEMON)
    if options.word != "start":
        sys.exit(_systemctl(name, options.word))
    debug = options.debug not in ("0", "")
    if not options.foreground and not debug:
        sys.exit(_systemctl(name, "start"))
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.INFO, format="%(levelname)s: %(message)s", stream=sys.stderr
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        run(Settings())
    except (ServiceError, TlsError) as err:
        print(f"{name}: {err}", file=sys.stderr)
        sys.exit(FAILED)


def run_privileged(settings: Settings) -> None:
    """Serve as root on the local socket until SIGTERM. Raises `ServiceError`."""
    if os.geteuid() != 0:
        raise ServiceError("please run as root")
    try:
        TaskStore(settings).prepare()
    except TaskStoreError as err:
        raise ServiceError(str(err)) from err
    node = local_node()
    router = make_router()
    for name in _PRELOADED:
        importlib.import_module(name)
    executor = Executor(make_work(settings, router, node))
    executor.start()
    listening = _local_socket(settings.api_socket)

    async def serve(stop: asyncio.Event, reload: asyncio.Event) -> None:
        half = Privileged(settings, router, node, executor)
        server = HttpServer(half.handle, _client_of_front)
        site = await asyncio.get_running_loop().create_unix_server(server.factory, sock=listening)
        end_upkeep = Upkeep(settings).start()
        _log.info("serving on %s", settings.api_socket)
        await stop.wait()
        end_upkeep()
        site.close()
        await server.close(STOP_SECONDS)
        half.close()

    try:
        asyncio.run(_with_signals(serve))
    finally:
        executor.close()
        with contextlib.suppress(FileNotFoundError):
            settings.api_socket.unlink()


def run_front(settings: Settings, port: int = API_PORT, host: str | None = None) -> None:
    """Serve HTTPS until SIGTERM; gives up root's rights first. Raises `ServiceError`."""
    config = read_proxy_config(settings)
    _become_web_user(settings)
    context = tls_context(settings, config)
    try:
        listening = open_socket(port, host or config.listen_ip)
    except OSError as err:
        raise ServiceError(f"unable to listen on port {port}: {err.strerror}") from err
    node = local_node()
    router = make_router()

    async def serve(stop: asyncio.Event, reload: asyncio.Event) -> None:
        front = Front(settings, router, node)
        log = AccessLog(settings.proxy_log_dir / "access.log")
        members = MemberAddresses(Cfs(settings))
        following = asyncio.create_task(members.follow()) if config.believes_members else None
        client_of = partial(_client_of_network, config, members)
        server = HttpServer(front.handle, client_of, log.record, compress=config.compression)
        front.count_connections = lambda: len(server.open_connections())
        listener = asyncio.create_task(Listener(listening, server, context, config.allows).run())
        stopping = asyncio.create_task(stop.wait())
        _log.info("serving on port %d", port)
        while not stop.is_set():
            reloading = asyncio.create_task(reload.wait())
            await asyncio.wait({stopping, reloading, listener}, return_when=asyncio.FIRST_COMPLETED)
            reloading.cancel()
            if listener.done():
                break
            if reload.is_set():
                reload.clear()
                log.reopen()
                _reload_certificate(context, settings, config)
        listener.cancel()
        stopping.cancel()
        if following is not None:
            following.cancel()
        front.end_streams()
        await server.close(STOP_SECONDS)
        await front.close()
        log.close()
        if listener.done() and not listener.cancelled():
            listener.result()

    asyncio.run(_with_signals(serve))


class AccessLog:
    """``IP - USER [TIME] "REQUEST LINE" STATUS LENGTH``, one line per request. Works without its file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self.reopen()

    def reopen(self) -> None:
        """After the file was rotated."""
        self.close()
        try:
            fd = os.open(
                self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640
            )
            self._file = open(fd, "a", encoding="utf-8", buffering=1)  # noqa: PTH123, SIM115 - a descriptor, kept
        except OSError as err:
            _log.warning("no access log: unable to open '%s': %s", self._path, err.strerror)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def record(self, client: str, user: str, line: str, status: int, length: int) -> None:
        if self._file is None:
            return
        stamp = time.strftime("%d/%m/%Y:%H:%M:%S %z")
        line = _SECRET_IN_QUERY.sub(r"\1...", line)
        shown = "".join(char if char.isprintable() and char != '"' else "?" for char in line)
        try:
            self._file.write(f'{client or "-"} - {user or "-"} [{stamp}] "{shown}" {status} {length}\n')
        except OSError as err:
            _log.warning("unable to write the access log: %s", err.strerror)


Serve = Callable[[asyncio.Event, asyncio.Event], Coroutine[Any, Any, None]]


async def _with_signals(serve: Serve) -> None:
    stop, reload = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    await serve(stop, reload)


def _reload_certificate(context: ssl.SSLContext, settings: Settings, config: ProxyConfig) -> None:
    try:
        load_certificate(context, settings, config)
        _log.info("loaded the certificate again")
    except TlsError as err:
        _log.warning("going on with the old certificate: %s", err)


def _local_socket(path: Path) -> socket.socket:
    """The socket between the halves: only root and the front may connect."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o117)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        os.chown(path, 0, grp.getgrnam(GROUP).gr_gid)
    except (OSError, KeyError) as err:
        raise ServiceError(f"unable to make the socket '{path}': {err}") from err
    return listening


def _become_web_user(settings: Settings) -> None:
    if os.geteuid() != 0:
        return
    try:
        entry = pwd.getpwnam(GROUP)
    except KeyError as err:
        raise ServiceError(f"there is no user '{GROUP}' to run as") from err
    directory = settings.proxy_log_dir
    with contextlib.suppress(OSError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chown(directory, entry.pw_uid, entry.pw_gid)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def _client_of_network(config: ProxyConfig, members: MemberAddresses, request: web.BaseRequest) -> str:
    peer = client_address(request.remote or "")
    name = config.real_ip_header
    if name is None:
        return peer
    return config.real_client(peer, {name.lower(): request.headers.get(name, "")}, members.known)


def _client_of_front(request: web.BaseRequest) -> str:
    return request.headers.get("PVEClientIP", "")


def _systemctl(name: str, word: str) -> int:
    if word == "status":
        active = _run_systemctl("is-active", "--quiet", f"{name}.service") == 0
        print("running" if active else "stopped")
        return 0
    verb = "reload-or-restart" if word == "restart" else word
    return _run_systemctl(verb, f"{name}.service")


def _run_systemctl(*arguments: str) -> int:
    try:
        return subprocess.run(["systemctl", *arguments], check=False, timeout=SYSTEMCTL_SECONDS).returncode
    except FileNotFoundError:
        print("there is no systemctl here: use 'start --foreground'", file=sys.stderr)
    except subprocess.TimeoutExpired:
        print(f"systemctl {' '.join(arguments)}: got timeout", file=sys.stderr)
    return FAILED
