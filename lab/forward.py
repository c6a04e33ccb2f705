"""Hands connections of the machine to a node: a lab's network leads nowhere, and browsers stand outside.

Run in the switch's network as ``python3 forward.py FD ADDRESS PORT``: FD is a socket that listens in the
machine's own network, where it was made. Ends by SIGINT or SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from typing import Final

CONNECT_SECONDS: Final = 10.0
PIECE: Final = 1 << 16
MAX_CONNECTIONS: Final = 200


async def forward(listening: socket.socket, address: str, port: int) -> None:
    """Serve until cancelled. A node that is off or cut ends the connection; the next one is tried anew."""
    places = asyncio.Semaphore(MAX_CONNECTIONS)
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with places:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    far_reader, far_writer = await asyncio.open_connection(address, port)
            except (OSError, TimeoutError):
                writer.transport.abort()
                return
            try:
                await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
            finally:
                await _close(writer, far_writer)

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(serve(reader, writer))
        running.add(task)
        task.add_done_callback(running.discard)

    async with await asyncio.start_server(begin, sock=listening) as server:
        try:
            await server.serve_forever()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def _close(*writers: asyncio.StreamWriter) -> None:
    for each in writers:
        each.close()
    for each in writers:
        with contextlib.suppress(OSError):
            await each.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # the other side is gone: so is this direction
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _main(descriptor: int, address: str, port: int) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with socket.socket(fileno=descriptor) as listening, contextlib.suppress(asyncio.CancelledError):
        await forward(listening, address, port)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
