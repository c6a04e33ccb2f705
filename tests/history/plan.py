"""What the nemesis will do, drawn from a seed: the same seed, nodes and links give the same moves. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

NETWORK = ("cut", "split", "one-way", "links in turn", "loss", "delay")
HOST = (
    "stop pmxcfs",
    "stop corosync",
    "kill pmxcfs",
    "kill pmxcfs",
    "kill corosync",
    "kill both",
    "kill all pmxcfs",
    "power",
    "power",
    "old disk",
    "freeze",
    "full disk",
    "clock",
    "clock",
)
KINDS = tuple(dict.fromkeys((*NETWORK, *HOST)))
FIRST = (
    "cut",
    "one-way",
    "links in turn",
    "stop pmxcfs",
    "stop corosync",
    "kill pmxcfs",
    "full disk",
    "clock",
)
"""What also the shortest run has to show: these come before all others, each alone, whatever they take."""
LONG_SECONDS = 600.0
"""A run that lasts so long has had every kind."""
FIRST_SECONDS = (2.0, 5.0)
SECONDS = (2.0, 9.0)
"""How long faults last."""
TOGETHER = 0.25
"""How often a fault of the network and one of a host come together."""
HURRY = 0.2
"""How often the next fault comes before all have recovered from the last."""
JUMPS = (-7200.0, -125.0, -2.0, 2.0, 125.0, 7200.0)
"""Seconds; 125 is more than a lock lives."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault before it happens. ``nodes``: whom it hits, for "one-way" from and to, for "split" the first
    group. ``amount``: percent lost, milliseconds, seconds of the jump."""

    kind: str
    nodes: tuple[str, ...]
    amount: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind} {'->' if self.kind == 'one-way' else ''}{','.join(self.nodes)}" + (
            f" {self.amount:g}" if self.amount else ""
        )


@dataclass(frozen=True, slots=True)
class Move:
    """One or two faults. ``seconds``: how long they last; ``hurry``: nobody waits for recovery; ``quiet``:
    how long all is well after it."""

    faults: tuple[Fault, ...]
    seconds: float
    hurry: bool
    quiet: float


def moves(seed: int, nodes: Sequence[str], links: int) -> Iterator[Move]:
    """Without end: first ``FIRST``, then the other kinds, then all of them again and again, each time in
    another order."""
    random = Random(f"nemesis/{seed}")
    everything = [kind for kind in (*NETWORK, *HOST) if kind != "links in turn" or links > 1]
    for kind in _shuffled(random, [kind for kind in FIRST if kind in everything]):
        yield Move((_fault(random, kind, nodes),), round(random.uniform(*FIRST_SECONDS), 1), False, 0.5)
    waiting = _shuffled(random, [kind for kind in everything if kind not in FIRST])
    while True:
        for kind in waiting:
            faults = [_fault(random, kind, nodes)]
            if random.random() < TOGETHER:
                other = random.choice(
                    HOST if kind in NETWORK else ("cut", "split", "one-way", "loss", "delay")
                )
                faults.append(_fault(random, other, nodes))
            yield Move(
                tuple(faults),
                seconds=round(random.uniform(*SECONDS), 1),
                hurry=random.random() < HURRY,
                quiet=round(random.uniform(0.5, 3.0), 1),
            )
        waiting = _shuffled(random, everything)


def _shuffled(random: Random, kinds: Sequence[str]) -> list[str]:
    return random.sample(kinds, len(kinds))


def _fault(random: Random, kind: str, nodes: Sequence[str]) -> Fault:
    if kind == "split":
        size = random.randint(1, len(nodes) - 1)
        return Fault(kind, tuple(sorted(random.sample(list(nodes), size))))
    if kind == "one-way":
        return Fault(kind, tuple(random.sample(list(nodes), 2)))
    if kind == "kill all pmxcfs":
        return Fault(kind, tuple(nodes))
    node = (random.choice(list(nodes)),)
    if kind == "loss":
        return Fault(kind, node, random.choice((10, 30, 60)))
    if kind == "delay":
        return Fault(kind, node, random.choice((20, 100, 300)))
    if kind == "clock":
        return Fault(kind, node, random.choice(JUMPS))
    return Fault(kind, node)
