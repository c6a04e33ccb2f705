"""Files and clients of the IPC service of one daemon, greedy ones among them: all have their turn."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from quorate.ipc.client import Client
from quorate.settings import Settings
from tests.real.pmxcfs_world import NODE, World, a_world

pytestmark = pytest.mark.real

WWW_DATA = 33
GUESTS = 200
KEYS = [f"key{number}" for number in range(24)]
NAMES = 255
"""The most that a request can ask for."""
FLOODERS = 5
WRITES = 30


def dear(client: Client, number: int) -> None:
    """As many properties of all guests as can be asked for, other ones each time."""
    client.guest_properties(KEYS + [f"x{number}y{n}" for n in range(NAMES - len(KEYS))])


def cheap(client: Client, _number: int) -> None:
    client.version()


@contextmanager
def asking(world: World, ask: Callable[[Client, int], None]) -> Iterator[int]:
    """A process of the API's user that asks as fast as it can. Gives a pipe with one byte for each answer."""
    reader, writer = os.pipe2(os.O_NONBLOCK)
    pid = os.fork()
    if pid == 0:
        try:
            with world.entered():
                os.setgroups([])
                os.setresgid(WWW_DATA, WWW_DATA, WWW_DATA)
                os.setresuid(WWW_DATA, WWW_DATA, WWW_DATA)
                client = Client(Settings(Path("/") / world.root.relative_to("/")), timeout=60)
                number = 0
                while True:
                    number += 1
                    ask(client, number)
                    try:
                        os.write(writer, b".")
                    except BlockingIOError:
                        pass
        finally:
            os._exit(1)
    try:
        yield reader
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)


def answers(reader: int) -> int:
    """How many there were since the last look."""
    try:
        return len(os.read(reader, 65536))
    except BlockingIOError:
        return 0


def test_files_and_clients_are_served_beside_greedy_ones() -> None:
    with a_world() as world, ExitStack() as stack:
        (world.root / "run").mkdir(mode=0o755, exist_ok=True)
        world.start("-l")
        guests = world.mount / f"nodes/{NODE}/qemu-server"
        guests.mkdir(parents=True)
        for number in range(GUESTS):
            (guests / f"{1000 + number}.conf").write_text("".join(f"{key}: some value\n" for key in KEYS))
        readers = [stack.enter_context(asking(world, dear))]
        readers += [stack.enter_context(asking(world, cheap)) for _ in range(FLOODERS)]
        for reader in readers:
            world.wait(lambda reader=reader: answers(reader) > 0, "every client to have its first answer")  # type: ignore[misc]
        for number in range(WRITES):
            (world.mount / "probe").write_text(str(number))
            assert (world.mount / "probe").read_text() == str(number)
        for reader in readers:
            answers(reader)
            world.wait(lambda reader=reader: answers(reader) > 0, "every client to be served still")  # type: ignore[misc]
