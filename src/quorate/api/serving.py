"""What the workers of the API's two services do from their start to their end (pvecm 11).

SIGTERM: requests get `STOP_SECONDS`. SIGHUP: another worker has taken over; connections get as long as the
longest request may take, consoles as long as a day's work.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import signal
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from aiohttp import web

from quorate.api.accesslog import AccessLog
from quorate.api.executor import Executor
from quorate.api.forward import PRIVILEGED_SECONDS
from quorate.api.front import Front
from quorate.api.listener import Listener, client_address
from quorate.api.memberaddresses import MemberAddresses
from quorate.api.operations import make_router
from quorate.api.privileged import Privileged, make_work
from quorate.api.proxyconfig import ProxyConfig
from quorate.api.server import HttpServer
from quorate.api.supervisor import ServiceError
from quorate.api.tls import read_proxy_config, tls_context
from quorate.api.upkeep import Upkeep
from quorate.cfs import Cfs
from quorate.settings import Settings
from quorate.tasks import TaskStore, TaskStoreError, local_node

_log = logging.getLogger(__name__)

STOP_SECONDS: Final = 10.0
"""What running requests get at the end; the supervisor and systemd wait longer than this."""
DRAIN_SECONDS: Final = PRIVILEGED_SECONDS + 10.0
"""What they get after a restart, beside the new worker."""
CONSOLE_SECONDS: Final = 12 * 3600.0
"""What open consoles get then: somebody works there, and the log is rotated every day."""
CONSOLE_LOOK_SECONDS: Final = 1.0
_PRELOADED = ("quorate.cluster.create", "quorate.cluster.join", "quorate.cluster.membership")
"""What calls import when they need it: loaded once before the helper is forked, not again in each call."""

Tell = Callable[[], None]


def serve_privileged(settings: Settings, listening: socket.socket, tell: Tell) -> None:
    """Serve as root on the local socket. Raises `ServiceError`."""
    try:
        TaskStore(settings).prepare()
    except TaskStoreError as err:
        raise ServiceError(str(err)) from err
    node = local_node()
    router = make_router()
    for name in _PRELOADED:
        importlib.import_module(name)
    executor = Executor(make_work(settings, router, node))
    executor.start(listening)

    async def serve(told: _Told) -> None:
        half = Privileged(settings, router, node, executor)
        server = HttpServer(half.handle, _client_of_front)
        site = await asyncio.get_running_loop().create_unix_server(server.factory, sock=listening)
        end_upkeep = Upkeep(settings).start()
        _log.info("serving on %s", settings.api_socket)
        tell()
        await told.something()
        end_upkeep()
        site.close()
        if not told.stop.is_set():
            tell()
            await told.stop_within(_leave(server))
        await server.close(STOP_SECONDS)
        half.close()

    try:
        asyncio.run(_with_signals(serve))
    finally:
        executor.close()


def serve_front(settings: Settings, listening: socket.socket, tell: Tell) -> None:
    """Serve HTTPS, by /etc/default/pveproxy as it is now. Raises `TlsError`."""
    config = read_proxy_config(settings)
    context = tls_context(settings, config)
    node = local_node()
    router = make_router()

    async def serve(told: _Told) -> None:
        front = Front(settings, router, node)
        log = AccessLog(settings.proxy_log_dir / "access.log")
        members = MemberAddresses(Cfs(settings))
        following = asyncio.create_task(members.follow()) if config.believes_members else None
        client_of = partial(_client_of_network, config, members)
        server = HttpServer(front.handle, client_of, log.record, compress=config.compression)
        front.count_connections = lambda: len(server.open_connections())
        listener = Listener(listening, server, context, config.allows)
        looking = asyncio.create_task(listener.run())
        _log.info("serving on port %d", listening.getsockname()[1])
        tell()
        await told.something()
        listener.stop_accepting()
        front.end_events()
        if not told.stop.is_set():
            tell()
            await told.stop_within(_leave(server, listener.arriving, lambda: front.consoles))
        front.end_consoles()
        await server.close(STOP_SECONDS)
        looking.cancel()
        if following is not None:
            following.cancel()
        await front.close()
        log.close()

    asyncio.run(_with_signals(serve))


class _Told:
    """What the supervisor wants of a worker."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.leave = asyncio.Event()

    async def something(self) -> None:
        waiting = [asyncio.create_task(event.wait()) for event in (self.stop, self.leave)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()

    async def stop_within(self, leaving: Coroutine[Any, Any, None]) -> None:
        """Carry this out, unless SIGTERM comes meanwhile."""
        waiting = [asyncio.create_task(leaving), asyncio.create_task(self.stop.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()


async def _leave(
    server: HttpServer,
    arriving: Callable[[], int] = lambda: 0,
    consoles: Callable[[], int] = lambda: 0,
) -> None:
    """Let end what has begun, beside another worker."""
    _log.info("another worker serves: ending what has begun")
    await server.drain(DRAIN_SECONDS, arriving)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CONSOLE_SECONDS):
            while consoles():
                await asyncio.sleep(CONSOLE_LOOK_SECONDS)


async def _with_signals(serve: Callable[[_Told], Coroutine[Any, Any, None]]) -> None:
    told = _Told()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.stop.set)
    loop.add_signal_handler(signal.SIGHUP, told.leave.set)
    await serve(told)


def _client_of_network(config: ProxyConfig, members: MemberAddresses, request: web.BaseRequest) -> str:
    peer = client_address(request.remote or "")
    name = config.real_ip_header
    if name is None:
        return peer
    return config.real_client(peer, {name.lower(): request.headers.get(name, "")}, members.known)


def _client_of_front(request: web.BaseRequest) -> str:
    return request.headers.get("PVEClientIP", "")
