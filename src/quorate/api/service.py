"""The API's two processes as services: command words, rights, sockets, supervisors (pvecm 11).

What their workers do is in `serving`, which is imported by them alone: the supervisors stay small.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import pwd
import subprocess
import sys
import syslog
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from quorate.api.restarting import RestartError, ask_for_restart
from quorate.api.sockets import open_local_socket, open_socket
from quorate.api.supervisor import FAILED, Service, ServiceError, Tell, run_service
from quorate.api.tls import TlsError, read_proxy_config
from quorate.processname import set_process_name
from quorate.settings import API_PORT, GROUP, Settings

if TYPE_CHECKING:
    import socket

SYSTEMCTL_SECONDS: Final = 90.0


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
    restart = words.add_parser(
        "restart", help="read configuration and program anew; requests that run are answered"
    )
    restart.add_argument(
        "--supervisor", type=int, metavar="PID", help="what systemd runs: ask this process of the service"
    )
    words.add_parser("status", help="print running or stopped")
    options = parser.parse_args()
    # Also for the workers that are forked: their lines are the service's, not those of a file name
    set_process_name(name)
    syslog.openlog(os.environ.get("PVE_LOG_ID") or name, 0, syslog.LOG_DAEMON)
    if options.word == "restart" and options.supervisor is not None:
        sys.exit(_ask(name, options.supervisor))
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

    def listen(place: str) -> socket.socket:
        try:
            return open_local_socket(settings.api_socket)
        except KeyError as err:
            raise ServiceError(f"unable to make the socket '{place}': there is no group '{GROUP}'") from err

    def serve(listening: socket.socket, tell: Tell) -> None:
        from quorate.api.serving import serve_privileged

        serve_privileged(settings, listening, tell)

    place = str(settings.api_socket)
    run_service(
        Service(
            what=place,
            place=lambda: place,
            prepare=lambda: None,
            listen=listen,
            serve=serve,
            pidfile=settings.daemon_pidfile,
        )
    )


def run_front(settings: Settings, port: int = API_PORT, host: str | None = None) -> None:
    """Serve HTTPS until SIGTERM; gives up root's rights first. Raises `ServiceError`."""

    def place() -> str:
        try:
            return host or read_proxy_config(settings, complain=False).listen_ip or ""
        except TlsError as err:
            raise ServiceError(str(err)) from err

    def serve(listening: socket.socket, tell: Tell) -> None:
        from quorate.api.serving import serve_front

        serve_front(settings, listening, tell)

    run_service(
        Service(
            what=f"port {port}",
            place=place,
            prepare=lambda: _become_web_user(settings),
            listen=lambda place: open_socket(port, place or None),
            serve=serve,
            pidfile=settings.proxy_pidfile,
        )
    )


def _become_web_user(settings: Settings) -> None:
    if os.geteuid() != 0:
        return
    try:
        entry = pwd.getpwnam(GROUP)
    except KeyError as err:
        raise ServiceError(f"there is no user '{GROUP}' to run as") from err
    for directory, mode in ((settings.proxy_log_dir, 0o700), (settings.proxy_pidfile.parent, 0o755)):
        with contextlib.suppress(OSError):
            directory.mkdir(mode=mode, parents=True, exist_ok=True)
            os.chown(directory, entry.pw_uid, entry.pw_gid)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def _ask(name: str, supervisor: int) -> int:
    try:
        ask_for_restart(supervisor)
    except RestartError as err:
        print(f"{name}: {err}", file=sys.stderr)
        return FAILED
    return 0


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
