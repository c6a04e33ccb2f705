"""The first start of a node that is to join, ended before its configuration was stored (core 1.3 step 8):
whatever the database looks like then, the next start is a first start again."""

from __future__ import annotations

import gc
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from quorate.database.schema import CREATE
from quorate.pmxcfs.node import Node
from quorate.pmxcfs.paths import CLUSTER_CONFIG
from quorate.pmxcfs.pending import MAX_FILE_SIZE
from quorate.pmxcfs.rows import ROOT_NAME, RowBatch
from quorate.pmxcfs.startup import Identity, StartupError
from quorate.pmxcfs.store import Store
from quorate.settings import Settings

CONFIGURATION = b"totem {\n  version: 2\n  cluster_name: t\n  config_version: 4\n}\n"
ROOT_OF_VERSION = "INSERT INTO tree VALUES(0,0,%d,0,7,8,'__version__',NULL)"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a host with a cluster's configuration and no database."""
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(sys, "setswitchinterval", lambda seconds: None)
    settings = Settings(tmp_path)
    settings.state_dir.mkdir(parents=True)
    settings.corosync_conf.parent.mkdir(parents=True)
    settings.corosync_conf.write_bytes(CONFIGURATION)
    return settings


@pytest.fixture
def opened(settings: Settings) -> Iterator[Callable[..., Node]]:
    """Nodes that loaded their database. They end as in a crash: what was not stored is lost."""
    nodes: list[Node] = []

    def make(*, local: bool = False) -> Node:
        node = Node(settings, Identity("node1", "10.0.0.1", 33), local=local)
        nodes.append(node)
        node.open()
        return node

    yield make
    for node in nodes:
        node.abandon()


Opened = Callable[..., Node]


def imported(node: Node) -> bytes | None:
    entry = node.tree.lookup(CLUSTER_CONFIG)
    return None if entry is None else entry.content()


def execute(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param(None, id="created and nothing written"),
        pytest.param(["PRAGMA journal_mode=WAL"], id="no table yet"),
        pytest.param(["PRAGMA journal_mode=WAL", CREATE], id="no root row yet"),
        pytest.param([CREATE, ROOT_OF_VERSION % 0], id="a root row that counts as none"),
    ],
)
def test_a_database_without_anything_stored_is_new(
    settings: Settings, opened: Opened, statements: list[str] | None
) -> None:
    if statements is None:
        settings.database.touch()
    else:
        execute(settings.database, *statements)
    node = opened()
    assert node.cluster
    assert imported(node) == CONFIGURATION


def test_a_start_that_ended_before_it_stored_anything_is_made_again(
    settings: Settings, opened: Opened
) -> None:
    for _ in range(2):
        node = opened()
        assert node.cluster
        assert imported(node) == CONFIGURATION
        node.abandon()
        assert settings.database.exists()


def test_a_configuration_that_cannot_be_imported_is_refused_at_every_start(
    settings: Settings, opened: Opened
) -> None:
    settings.corosync_conf.write_bytes(b"#" * (MAX_FILE_SIZE + 1))
    for _ in range(2):
        with pytest.raises(StartupError, match="cannot import"):
            opened()


def test_the_root_and_the_configuration_are_stored_together(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else there would be a moment with a root row, and so with a database that is not new, without it."""
    submitted: list[RowBatch] = []
    monkeypatch.setattr(Store, "submit", lambda self, batch, done, first=None: submitted.append(batch))
    node = opened()
    node._persistence.flush_now()
    (batch,) = submitted
    assert {(row.name, row.version) for row in batch.rows} == {(ROOT_NAME, 3), (CLUSTER_CONFIG, 3)}


def test_what_was_imported_is_not_imported_again(settings: Settings, opened: Opened) -> None:
    node = opened()
    node._persistence.flush_now()
    node.abandon()
    settings.corosync_conf.write_bytes(CONFIGURATION.replace(b"4", b"3"))
    again = opened()
    assert again.cluster
    assert imported(again) == CONFIGURATION
    assert again.tree.root.version == 3


def test_a_local_node_without_a_file_stays_local(settings: Settings, opened: Opened) -> None:
    """Its first start came to its end: a configuration that somebody puts there later says nothing."""
    execute(settings.database, CREATE, ROOT_OF_VERSION % 1)
    node = opened()
    assert not node.cluster
    assert imported(node) is None


def test_forced_local_mode_imports_nothing(settings: Settings, opened: Opened) -> None:
    settings.database.touch()
    node = opened(local=True)
    assert not node.cluster
    assert imported(node) is None
