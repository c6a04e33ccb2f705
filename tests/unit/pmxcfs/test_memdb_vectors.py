"""The original's own results, reproduced: operations, digests, index bytes, database rows (core 10)."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from quorate.cli import create_pmxcfs_db
from quorate.pmxcfs import wire
from quorate.pmxcfs.rows import rows_from_changes
from quorate.pmxcfs.store import Store
from quorate.pmxcfs.tree import Tree

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "memdb-vectors.json").read_text(),
)
SCENARIOS: dict[str, dict[str, Any]] = {scenario["name"]: scenario for scenario in VECTORS["memdb"]}


class Node:
    """A tree over a real database file, as the daemon has it."""

    def __init__(self, path: Path, now: int) -> None:
        self.path = path
        self.now = now
        self.open()

    def open(self) -> None:
        self.store = Store(self.path, durable=False)
        self.tree = Tree.load(self.store.open(), self.now)

    def save(self) -> None:
        failures: list[Exception | None] = []
        self.store.submit(rows_from_changes(self.tree.take_changes(), self.tree.root), failures.append)
        self.store.close()
        assert failures == [None]

    def reopen(self) -> None:
        self.save()
        self.open()

    def run(self, op: dict[str, Any]) -> int:
        if op["op"] == "reopen":
            self.reopen()
            return 0
        path, writer, mtime = bytes.fromhex(op["path_hex"]), op["writer"], op["mtime"]
        tree, now = self.tree, self.now
        if op["op"] == "write":
            data = bytes.fromhex(op["data_hex"] or "")
            assert len(data) == op["size"]
            return tree.write(path, writer, mtime, now, data, op["offset"], bool(op["truncate"]))
        if op["op"] == "rename":
            return tree.rename(path, op["to"].encode("latin-1"), writer, mtime, now)
        simple = {"mkdir": tree.mkdir, "create": tree.create, "delete": tree.delete, "mtime": tree.set_mtime}
        return simple[op["op"]](path, writer, mtime, now)


def database_rows(path: Path) -> list[dict[str, Any]]:
    connection = sqlite3.connect(path)
    try:
        connection.text_factory = bytes
        rows = connection.execute(
            "SELECT inode, parent, version, writer, mtime, type, name, typeof(data), data FROM tree"
            " ORDER BY inode",
        ).fetchall()
    finally:
        connection.close()
    names = ("inode", "parent", "version", "writer", "mtime", "type")
    return [
        {
            **dict(zip(names, row[:6], strict=True)),
            "name_hex": row[6].hex(),
            "data_typeof": row[7].decode(),
            "data_hex": None if row[8] is None else row[8].hex(),
        }
        for row in rows
    ]


def matches(actual: str | None, expected: object) -> bool:
    """Compare content with the vector's notation for long data."""
    if not isinstance(expected, dict):
        return actual == expected
    data = bytes.fromhex(actual or "")
    if "sha256" in expected and hashlib.sha256(data).hexdigest() != expected["sha256"]:
        return False
    return "length" not in expected or len(data) == expected["length"]


def check_state(tree: Tree, expected: dict[str, Any]) -> None:
    root = tree.root
    assert {"version": root.version, "writer": root.writer, "mtime": root.mtime} == expected["root"]
    assert len(tree) == expected["index_entries"]
    for entry, wanted in zip(tree.entries_by_inode(), expected["entries"], strict=True):
        for field in ("inode", "parent", "version", "writer", "mtime", "size", "type"):
            assert getattr(entry, field) == wanted[field], (entry, field)
        assert entry.name.hex() == wanted["name_hex"]
        assert matches(None if entry.data is None else entry.data.hex(), wanted["data_hex"]), entry
        assert entry.index_digest().hex() == wanted["index_digest"], entry
        assert entry.index_record()[8:].hex() == wanted["index_digest"], entry
        assert tree.lock_checksum(entry).hex() == wanted["lock_csum"], entry
    check_index(tree, expected)


def check_index(tree: Tree, expected: dict[str, Any]) -> None:
    index = tree.index()
    assert len(index) == expected["index_bytes"]
    if "index_hex" in expected:
        assert index.hex() == expected["index_hex"]
    assert hashlib.sha256(index).hexdigest() == expected["index_sha256"]
    assert wire.Index.unpack(index).last_inode == expected["last_inode"]
    assert tree.full_checksum().hex() == expected["full_checksum"]


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "hundred_files"])
@pytest.mark.parametrize("saves", ["at the end", "after every operation"])
def test_memdb(name: str, saves: str, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    node = Node(tmp_path / "config.db", scenario["db_created_at"])
    for op in scenario["ops"]:
        assert node.run(op) == op["result"], op
        assert node.tree.root.version == op["root_version_after"], op
        if saves == "after every operation":
            node.store.submit(rows_from_changes(node.tree.take_changes(), node.tree.root), check_done)
    check_state(node.tree, scenario)
    node.save()
    rows = database_rows(node.path)
    for row, wanted in zip(rows, scenario["db_rows"], strict=True):
        data = row.pop("data_hex")
        wanted = dict(wanted)
        assert matches(data, wanted.pop("data_hex"))
        assert row == wanted


def check_done(error: Exception | None) -> None:
    assert error is None


def test_hundred_files() -> None:
    tree = Tree.new(1234)
    for number in range(100):
        name = b"testfile%d" % number
        assert tree.create(name, 0, 1234, 0) == 0
        assert tree.write(name, 0, 1234, 0, bytes(32768), 0, False) == 32768
    check_index(tree, SCENARIOS["hundred_files"])


def test_create_pmxcfs_db(tmp_path: Path) -> None:
    vector = VECTORS["create_pmxcfs_db"]
    source = tmp_path / "source"
    source.mkdir()
    for file in vector["files"]:
        (source / file["name"]).write_bytes(bytes.fromhex(file["data_hex"]))
    (source / "directory").mkdir()
    (source / "directory" / "inside").write_bytes(b"skipped")
    (source / "link").symlink_to("a.txt")
    database = tmp_path / "config.db"
    assert create_pmxcfs_db.main([str(source), str(database)], 4242) == 0
    rows = database_rows(database)
    expected = [dict(row) for row in vector["rows"]]
    # The order of the files, hence inodes and versions, is the directory's.
    assert [row["inode"] for row in rows] == [row["inode"] for row in expected]
    assert [row["version"] for row in rows] == [row["version"] for row in expected]
    for row in rows:
        wanted = next(item for item in expected if item["name"].encode().hex() == row["name_hex"])
        assert matches(row["data_hex"].upper() if row["data_hex"] else None, _upper(wanted["data_hex"]))
        assert row["data_typeof"] == wanted["data_typeof"]
        assert (row["parent"], row["writer"], row["mtime"], row["type"]) == (0, 0, 4242, 8)
    assert database.stat().st_mode & 0o777 == 0o600


def _upper(text: str | None) -> str | None:
    return None if text is None else text.upper()


@pytest.mark.parametrize("arguments", [[], ["one"], ["a", "b", "c"]])
def test_create_pmxcfs_db_refuses_wrong_arguments(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert create_pmxcfs_db.main(arguments, 1) == 255
    assert "usage" in capsys.readouterr().err


def test_create_pmxcfs_db_says_which_file_is_too_large(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "large").write_bytes(bytes((1 << 20) + 1))
    assert create_pmxcfs_db.main([str(tmp_path / "source"), str(tmp_path / "config.db")], 1) == 255
    assert "large" in capsys.readouterr().err
