"""When a state machine stops waiting, and what it does then (W2, W21, decision 0006). Sends nothing itself.

A wait for a member's state ends in one of two ways. A *ghost* (the group lists it, quorum does not) is no
part of the cluster: the others go on at once. A member that quorum counts but that does not answer is left
out only if those who did answer are more than half of the cluster, because a smaller part might go on with
old data and win over the newer ones later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from quorate.corosync.address import Address
from quorate.pmxcfs.effects import Clock, Mode

JOIN_SECONDS = 30.0
"""For the first configuration after joining. Corosync's own membership protocol needs a few seconds."""

LEAVE_SECONDS = 10.0
"""For the configuration without this node after leaving."""

START_SECONDS = 5.0
"""For a SYNC_START, per rank: the second lowest member steps in after 5 s, the third after 10 s ..."""

GHOST_SECONDS = 2.0
"""For the state of a ghost, or of a member that was left out before and has been silent since."""

ANSWER_SECONDS = 15.0
"""For the state of any other member. An original may spend up to 10 s on flow control (core 5.6)."""

RANK_SECONDS = 3.0
"""Added per rank, so that one member at a time ends the wait."""

PROGRESS_SECONDS = 30.0
"""Between two UPDATE messages of the leader."""

WARN_SECONDS = 60.0
"""Between two lines about the same wait."""

VERIFY_DELAY_SECONDS = 10.0
"""From the end of a synchronisation to the verification after it."""

VERIFY_SECONDS = 600.0
"""Between two verifications; each costs every node one SHA-256 over all data (W21)."""


class Waiting(Protocol):
    """What the deadlines look at and may do; the machine."""

    mode: Mode
    own: Address
    members: tuple[Address, ...]
    joined: bool
    left_out: frozenset[Address]
    round_open: bool
    states: dict[Address, bytes]
    checks_quorum: bool
    quorum_nodes: frozenset[int] | None
    expected_nodes: int | None

    @property
    def leaving(self) -> bool: ...
    def start_round(self, clock: Clock) -> None: ...
    def decree(self, missing: Sequence[Address], clock: Clock) -> None: ...
    def give_up(self, clock: Clock, why: str) -> None: ...
    def reconnect(self, clock: Clock, why: str) -> None: ...
    def request_verification(self, clock: Clock) -> None: ...
    def warn(self, text: str) -> None: ...


class Deadlines:
    """The moments from which waits are counted."""

    def __init__(self) -> None:
        self.joined_at = 0.0
        self.entered_at = 0.0
        self._configured_at = 0.0
        self._round_at = 0.0
        self._progress_at = 0.0
        self._acted = False
        self._warned_at = float("-inf")
        self._verify_at: float | None = None
        self._silent: set[Address] = set()

    # What the machine reports

    def entered(self, now: float) -> None:
        """Another mode."""
        self.entered_at = now

    def configured(self, now: float) -> None:
        """A configuration change."""
        self._configured_at = now
        self._acted = False
        self._verify_at = None

    def round_started(self, now: float) -> None:
        """A SYNC_START was obeyed."""
        self._round_at = now
        self._acted = False

    def progress(self, now: float) -> None:
        """The leader sends updates."""
        self._progress_at = now

    def all_synced(self, now: float) -> None:
        """A synchronisation is complete."""
        self._verify_at = now + VERIFY_DELAY_SECONDS

    def left_out(self, members: Iterable[Address]) -> None:
        """The others went on without these."""
        self._silent.update(members)

    def heard(self, member: Address) -> None:
        """A message came from this member."""
        if self._silent:
            self._silent.discard(member)

    def forget_absent(self, members: Iterable[Address]) -> None:
        """Only these are in the group now."""
        self._silent.intersection_update(members)

    # What the machine asks

    def check(self, machine: Waiting, clock: Clock) -> None:
        """Act on whatever has taken too long."""
        now = clock.mono
        if machine.leaving:
            if now - self.entered_at >= LEAVE_SECONDS:
                machine.reconnect(clock, "no answer to leaving the group")
        elif machine.mode is Mode.START:
            if machine.joined and now - self.joined_at >= JOIN_SECONDS:
                machine.reconnect(clock, "no configuration of the group after joining it")
        elif machine.mode is Mode.START_SYNC:
            if machine.round_open:
                self._check_states(machine, clock)
            else:
                self._check_start(machine, clock)
        elif machine.mode is Mode.UPDATE:
            if now - self._progress_at >= PROGRESS_SECONDS:
                machine.give_up(clock, f"no update from the leader for {PROGRESS_SECONDS:.0f} s")
        elif machine.mode is Mode.SYNCED and self._verify_at is not None and now >= self._verify_at:
            self._verify_at = now + VERIFY_SECONDS
            if len(machine.members) > 1:
                machine.request_verification(clock)

    def _check_start(self, machine: Waiting, clock: Clock) -> None:
        doubtful = self._ghosts(machine) | self._silent
        before = [member for member in machine.members if member < machine.own]
        wait = START_SECONDS * sum(member not in doubtful for member in before)
        wait += GHOST_SECONDS if doubtful.intersection(before) else 0
        if before and not self._acted and clock.mono - self._configured_at >= wait:
            self._acted = True
            machine.start_round(clock)

    def _check_states(self, machine: Waiting, clock: Clock) -> None:
        present = sorted(machine.states)
        missing = [member for member in machine.members if member not in machine.states]
        if machine.own not in machine.states or self._acted:
            return
        ghosts = self._ghosts(machine)
        known = ghosts | self._silent
        wait = GHOST_SECONDS if known.issuperset(missing) else ANSWER_SECONDS
        wait += RANK_SECONDS * present.index(machine.own)
        if clock.mono - self._round_at < wait:
            return
        if self._may_go_on(machine, present, missing, ghosts):
            self._acted = True
            machine.decree(missing, clock)
        elif clock.mono - self._warned_at >= WARN_SECONDS:
            self._warned_at = clock.mono
            names = ", ".join(str(member.nodeid) for member in missing)
            machine.warn(
                f"waiting for the state of node {names}, without which too few would go on: "
                "restart pmxcfs there, or stop corosync there"
            )

    @staticmethod
    def _may_go_on(
        machine: Waiting, present: Sequence[Address], missing: Sequence[Address], ghosts: frozenset[Address]
    ) -> bool:
        if not machine.checks_quorum or ghosts.issuperset(missing):
            return True
        # Nodes, not processes: a process that died unnoticed beside its successor is not a node more. What is
        # configured counts, if known: the group may list ghosts that quorum's view would tell apart.
        listed = {member.nodeid for member in machine.members if member not in ghosts}
        cluster = machine.expected_nodes or len(listed)
        return 2 * len({member.nodeid for member in present}) > cluster

    @staticmethod
    def _ghosts(machine: Waiting) -> frozenset[Address]:
        nodes = machine.quorum_nodes
        if nodes is None:
            return frozenset()
        return frozenset(member for member in machine.members if member.nodeid not in nodes)
