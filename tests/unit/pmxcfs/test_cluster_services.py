"""The care of the connections to Corosync: what makes them read anew, and what does not (core 8.2, W20)."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from quorate.corosync.errors import LibraryError
from quorate.pmxcfs import services
from quorate.pmxcfs.clinfo import ClusterInfo
from quorate.pmxcfs.loop import Loop
from quorate.pmxcfs.services import ConfigurationService


class FakeCmap:
    """Corosync's map: events are handed out one per dispatch."""

    made = 0

    def __init__(self) -> None:
        FakeCmap.made += 1
        self.fd = os.eventfd(1)
        self.events: list[str] = []
        self.tracked: dict[str, Callable[[object], None]] = {}
        self.failure: Exception | None = None

    def fileno(self) -> int:
        return self.fd

    def track(self, key: str, callback: Callable[[object], None], *, prefix: bool = False) -> None:
        self.tracked[key] = callback

    def dispatch(self) -> bool:
        if self.failure is not None:
            raise self.failure
        if not self.events:
            return False
        callback = self.tracked.get(self.events.pop(0))
        if callback is not None:
            callback(None)
        return True

    def find(self, key: str) -> object:
        return {"totem.cluster_name": "c", "totem.config_version": 3}.get(key)

    def iterate(self, prefix: str = "") -> list[tuple[str, object]]:
        return [("nodelist.node.0.nodeid", 1), ("nodelist.node.0.name", "node1")]

    def close(self) -> None:
        os.close(self.fd)


@pytest.fixture
def read() -> list[ClusterInfo]:
    return []


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, read: list[ClusterInfo]) -> Iterator[ConfigurationService]:
    monkeypatch.setattr(services, "Cmap", FakeCmap)
    monkeypatch.setattr(FakeCmap, "made", 0)
    service = ConfigurationService(Loop(), logging.getLogger("services"), read.append)
    service.connect()
    yield service
    service.stop()


def cmap_of(service: ConfigurationService) -> FakeCmap:
    return cast(FakeCmap, service._cmap)


def test_the_map_is_read_at_connect_and_once_per_batch_of_events(
    service: ConfigurationService, read: list[ClusterInfo]
) -> None:
    assert [info.version for info in read] == [3]
    cmap_of(service).events += ["nodelist.node.", "nodelist.node.", "totem.config_version"]
    service._dispatch()
    assert len(read) == 2


def test_an_event_that_changes_nothing_tracked_keeps_the_connection(
    service: ConfigurationService, read: list[ClusterInfo]
) -> None:
    cmap_of(service).events += ["something.else"]
    service._dispatch()
    service._dispatch()
    assert service.connected
    assert FakeCmap.made == 1
    assert len(read) == 1


def test_a_lost_connection_is_given_back(service: ConfigurationService) -> None:
    cmap_of(service).failure = LibraryError("cmap_dispatch")
    service._dispatch()
    assert not service.connected
    service.connect()
    assert service.connected
