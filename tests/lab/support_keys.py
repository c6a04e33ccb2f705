"""The key that signs tickets: what each node sees of it, and two nodes that renew it in competition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final, NamedTuple

from lab import Node

_ROTATE: Final = """
import time
from quorate.access.rotation import rotate_if_due
from quorate.settings import Settings
settings = Settings()
public = settings.mountpoint / "authkey.pub"
before, made, end = public.read_bytes(), 0, time.monotonic() + 60
print("ready", flush=True)
while public.read_bytes() == before and time.monotonic() < end:
    made += rotate_if_due(settings)
    time.sleep(0.01)
print(made + rotate_if_due(settings))
"""
"""What the daemons call now and then, all the time until there is another key; says how many it made."""


class Keys(NamedTuple):
    """PEM texts, as one node sees them."""

    public: str
    previous: str
    of_private: str
    """The private key's public half."""


def keys_of(node: Node) -> Keys:
    previous = node.run(["cat", "/etc/pve/authkey.pub.old"], check=False).stdout
    private = node.run(["openssl", "pkey", "-in", "/etc/pve/priv/authkey.key", "-pubout"], check=False)
    return Keys(node.read_file("/etc/pve/authkey.pub"), previous, private.stdout)


def sees(node: Node, keys: Keys) -> bool:
    return keys_of(node) == keys


def renew_on(nodes: Sequence[Node], let_it_be_due: Callable[[], None]) -> list[int]:
    """How many keys each of these nodes made, which look all the time while the key comes to be due."""
    with ExitStack() as stack:
        argv = ["/opt/quorate/.venv/bin/python", "-c", _ROTATE]
        processes = [stack.enter_context(node.start_process(argv)) for node in nodes]
        for process in processes:
            line = process.stdout.readline()
            assert line == "ready\n", line + process.stdout.read()
        let_it_be_due()
        said = [process.stdout.read() for process in processes]
    return [int(text.splitlines()[-1]) for text in said]  # before that they may tell of waiting for the lock
