"""The event stream: what counts as a change, who hears of it, and coming back to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import pytest

from quorate.access.directory import AuthenticationError
from quorate.api import events
from quorate.api.changes import EVERYTHING, TOPICS, Change, Snapshot, compare
from quorate.api.events import Hub
from quorate.ipc.shared import Changes
from quorate.schema import ApiError

ALL_TOPICS = frozenset(TOPICS)


def _snapshot(
    paths: dict[str, int] | None = None,
    *,
    starttime: int = 1,
    clinfo: int = 1,
    vmlist: int = 1,
    status: dict[str, dict[str, int]] | None = None,
    **more: Any,
) -> Snapshot:
    counters = Changes(starttime, clinfo, vmlist, {"user.cfg": 1, **(paths or {})}, status or {})
    return Snapshot(counters=counters, quorate=True, online=frozenset({"n1"}), **more)


@pytest.mark.parametrize(
    ("after", "topics"),
    [
        (_snapshot(), set()),
        (_snapshot(clinfo=2), {"status", "resources"}),
        (_snapshot(vmlist=2), {"resources"}),
        (_snapshot({"datacenter.cfg": 1}), {"config"}),
        (_snapshot({"user.cfg": 2}), {"config", "access", "resources"}),
        (_snapshot({"corosync.conf": 2}), {"config", "status", "resources"}),
        (_snapshot(status={"n2": {"tasklist": 1}}), {"tasks"}),
        (_snapshot(status={"n2": {"version-info": 1}}), {"resources"}),
        (_snapshot(newest=(1, 2)), {"log"}),
        (_snapshot(starttime=2), set(TOPICS)),
        (Snapshot(), set(TOPICS)),
    ],
)
def test_what_a_difference_is_about(after: Snapshot, topics: set[str]) -> None:
    assert compare(_snapshot(), after).topics == topics


def test_the_quorum_counts_without_a_counter() -> None:
    before = _snapshot()
    assert before.counters is not None
    lost = Snapshot(counters=before.counters, quorate=False, online=before.online)
    assert compare(before, lost).topics == {"status", "resources"}
    assert not compare(Snapshot(), Snapshot())


def test_names_of_files_go_with_their_topic_only() -> None:
    change = compare(_snapshot(), _snapshot({"user.cfg": 2}))
    assert change.only(frozenset({"access"})) == Change(frozenset({"access"}))
    assert change.only(ALL_TOPICS).paths == {"user.cfg"}


class World:
    """A cluster whose counters the test turns."""

    def __init__(self) -> None:
        self.now = _snapshot()
        self.topics = ALL_TOPICS
        self.gone = False
        self.hub = Hub(lambda before, with_log: self.now)

    def authorize(self) -> frozenset[str]:
        if self.gone:
            raise AuthenticationError("ticket expired")
        return self.topics

    def listen(self, last_id: str = "", client: str = "c") -> AsyncGenerator[bytes, None]:
        return self.hub.listen(client, last_id, self.authorize)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK_SECONDS", 0.01)


def _run(test: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        world = World()
        async with asyncio.timeout(20):
            await test(world)
        world.hub.close()

    asyncio.run(main())


def _parse(piece: bytes) -> tuple[str, str, Any]:
    fields = dict(line.split(": ", 1) for line in piece.decode().strip().splitlines())
    return fields["event"], fields.get("id", ""), json.loads(fields["data"])


def test_listeners_are_greeted_and_told() -> None:
    async def test(world: World) -> None:
        stream = world.listen()
        event, _, data = _parse(await anext(stream))
        assert (event, data) == ("hello", {"topics": sorted(TOPICS)})
        world.now = _snapshot({"user.cfg": 2})
        event, identifier, data = _parse(await anext(stream))
        assert event == "change"
        assert data == {"topics": ["access", "config", "resources"], "paths": ["user.cfg"]}
        assert identifier.endswith("-1")
        await stream.aclose()
        assert world.hub.listeners == 0

    _run(test)


def test_who_may_not_ask_is_not_told() -> None:
    async def test(world: World) -> None:
        world.topics = frozenset({"tasks"})
        stream = world.listen()
        await anext(stream)
        world.now = _snapshot({"datacenter.cfg": 9})
        waiting = asyncio.ensure_future(anext(stream))
        while not world.hub._kept:
            await asyncio.sleep(0)
        world.now = _snapshot({"datacenter.cfg": 9}, status={"n1": {"tasklist": 1}})
        assert _parse(await waiting)[2] == {"topics": ["tasks"]}
        await stream.aclose()

    _run(test)


def test_a_listener_that_comes_back_hears_what_it_missed() -> None:
    async def test(world: World) -> None:
        other = world.listen()
        stream = world.listen()
        for each in (other, stream):
            await anext(each)
        world.now = _snapshot(vmlist=2)
        _, identifier, _ = _parse(await anext(stream))
        await stream.aclose()
        world.now = _snapshot(vmlist=2, status={"n1": {"tasklist": 1}})
        while world.hub._serial < 2:
            await asyncio.sleep(0)
        back = world.listen(identifier)
        await anext(back)
        assert _parse(await anext(back))[2]["topics"] == ["tasks"]
        for unknown in ("xyz-1", "nonsense", f"{identifier.partition('-')[0]}-999"):
            lost = world.listen(unknown)
            await anext(lost)
            assert _parse(await anext(lost))[2]["topics"] == sorted(EVERYTHING.topics)
            await lost.aclose()

    _run(test)


def test_a_stream_ends_with_the_right_to_it() -> None:
    async def test(world: World) -> None:
        stream = world.listen()
        await anext(stream)
        world.gone = True
        world.now = _snapshot({"user.cfg": 2})
        assert [piece async for piece in stream] == []

    _run(test)


def test_silence_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.01)

    async def test(world: World) -> None:
        stream = world.listen()
        await anext(stream)
        assert await anext(stream) == b": still here\n\n"

    _run(test)


def test_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_PER_CLIENT", 1)

    async def test(world: World) -> None:
        stream = world.listen()
        await anext(stream)
        with pytest.raises(ApiError, match="too many open event streams"):
            world.listen()
        await anext(world.listen(client="other"))
        world.hub.close()
        assert [piece async for piece in stream] == []

    _run(test)
