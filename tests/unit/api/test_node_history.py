"""Figures over time through the API: of nodes, guests and storages, as points and as an image (pvecm 6.8)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from quorate.api import calls
from quorate.api.results import Image
from quorate.host import graph
from quorate.pmxcfs import librrd
from quorate.pmxcfs.librrd import LibrrdError, LibrrdMissingError, Rows
from quorate.schema import ApiError
from quorate.settings import Settings
from tests.unit.api.cluster_world import Api

PNG = b"\x89PNG\r\n\x1a\n..."
VMLIST = {
    "version": 1,
    "ids": {
        "100": {"node": "n1", "type": "qemu", "version": 1},
        "101": {"node": "n1", "type": "lxc", "version": 1},
        "102": {"node": "n2", "type": "qemu", "version": 1},
    },
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(root=tmp_path)
    settings.mountpoint.mkdir(parents=True)
    (settings.mountpoint / ".vmlist").write_text(json.dumps(VMLIST))
    for name in ("pve-node-9.0/n1", "pve-vm-9.0/100", "pve-vm-9.0/101", "pve-storage-9.0/n1/local"):
        path = settings.rrd_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return settings


@pytest.fixture
def api(settings: Settings) -> Api:
    return Api(settings)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    files: list[str] = []

    def fetch(path: str, function: str, start: int, end: int, step: int) -> Rows:
        files.append(f"{path} {function} {step}")
        return Rows(600, 60, [], [[]])

    monkeypatch.setattr(librrd, "fetch", fetch)
    return files


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    asked: list[list[str]] = []

    def draw(arguments: Sequence[str]) -> bytes:
        asked.append(list(arguments))
        return PNG

    monkeypatch.setattr(librrd, "graph", draw)
    return asked


def test_whose_figures(api: Api, settings: Settings, fetched: list[str]) -> None:
    for path, file in (
        ("/nodes/n1", "pve-node-9.0/n1"),
        ("/nodes/n1/qemu/100", "pve-vm-9.0/100"),
        ("/nodes/n1/lxc/101", "pve-vm-9.0/101"),
        ("/nodes/n1/storage/local", "pve-storage-9.0/n1/local"),
    ):
        assert api("GET", f"{path}/rrddata", timeframe="week", cf="MAX")[0]["time"] == 660
        assert fetched.pop() == f"{settings.rrd_dir / file} MAX 1800"


@pytest.mark.parametrize("path", ["qemu/101", "lxc/100", "qemu/102", "qemu/999"])
def test_guests_that_are_not_there(api: Api, fetched: list[str], path: str) -> None:
    kind, vmid = path.split("/")
    directory = {"qemu": "qemu-server", "lxc": "lxc"}[kind]
    for what, more in (("rrddata", {}), ("rrd", {"ds": "cpu"})):
        with pytest.raises(ApiError) as refused:
            api("GET", f"/nodes/n1/{path}/{what}", **{"timeframe": "hour", **more})
        assert (
            refused.value.message == f"Configuration file 'nodes/n1/{directory}/{vmid}.conf' does not exist"
        )
    assert fetched == []


def test_figures_that_are_not_there_yet(api: Api) -> None:
    with pytest.raises(ApiError, match=r"^there are no figures of storage 'other' on node 'n1' yet: no file"):
        api("GET", "/nodes/n1/storage/other/rrddata", timeframe="hour")


def test_an_image_is_a_file_of_the_node(api: Api, settings: Settings, drawn: list[list[str]]) -> None:
    result = api.raw("GET", "/nodes/n1/rrd", ds="cpu,iowait,cpu", timeframe="hour")
    assert isinstance(result, Image)
    path = Path(result.filename)
    assert path.parent == settings.at("/run/pvedaemon/graphs")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (PNG, 0o644)
    file = settings.rrd_dir / "pve-node-9.0/n1"
    assert [word for word in drawn[0] if word.startswith(("DEF", "LINE"))] == [
        f"DEF:v0={file}:cpu:AVERAGE",
        "LINE2:v0#1f77b4:cpu",
        f"DEF:v1={file}:iowait:AVERAGE",
        "LINE2:v1#ff7f0e:iowait",
    ]
    times = [int(drawn[0][drawn[0].index(word) + 1]) for word in ("--start", "--end")]
    assert times[1] - times[0] == 70 * 60
    # The same once more is the same file; another is another one.
    assert api("GET", "/nodes/n1/rrd", ds="cpu,iowait", timeframe="hour") == {"filename": str(path)}
    other = api("GET", "/nodes/n1/storage/local/rrd", ds="used", timeframe="hour")
    assert other["filename"].startswith(str(path.parent / "n1-local-hour-"))


def test_an_image_by_itself_or_in_an_envelope(drawn: list[list[str]]) -> None:
    message = json.loads(json.dumps(calls.pack_result(Image("/run/x.png", PNG))))
    answer = calls.answer_of(message, "png")
    assert (answer.status, answer.content_type, answer.body) == (200, "image/png", PNG)
    assert json.loads(calls.answer_of(message, "json").body) == {"data": {"filename": "/run/x.png"}}
    assert json.loads(calls.answer_of(message, "extjs").body)["data"] == {"filename": "/run/x.png"}


@pytest.mark.parametrize(
    ("ds", "text"), [("bogus", "there is no data source 'bogus'; known are loadavg, "), ("", "which")]
)
def test_what_cannot_be_drawn(api: Api, drawn: list[list[str]], ds: str, text: str) -> None:
    with pytest.raises(ApiError) as refused:
        api("GET", "/nodes/n1/rrd", ds=ds, timeframe="hour")
    assert refused.value.status == 400
    assert (refused.value.errors or {})["ds"].startswith(text)
    assert drawn == []


def test_without_librrd_it_says_which_package(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_arguments: Sequence[str]) -> bytes:
        raise LibrrdMissingError("cannot load librrd.so.8 (package librrd8): not found")

    monkeypatch.setattr(librrd, "graph", missing)
    with pytest.raises(ApiError, match="package librrd8") as refused:
        api("GET", "/nodes/n1/rrd", ds="cpu", timeframe="hour")
    assert refused.value.status == 500


def test_errors_of_the_library_are_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> Rows:
        raise LibrrdError("RRD fetch error: broken")

    monkeypatch.setattr(librrd, "fetch", fail)
    with pytest.raises(ApiError, match=r"^RRD fetch error: broken$"):
        api("GET", "/nodes/n1/rrddata", timeframe="hour")


def test_old_images_go(
    api: Api, settings: Settings, drawn: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "MAX_KEPT", 2)
    names = []
    for number, ds in enumerate(("cpu", "iowait", "loadavg")):
        names.append(api("GET", "/nodes/n1/rrd", ds=ds, timeframe="hour")["filename"])
        os.utime(names[-1], (number, number))
    api("GET", "/nodes/n1/rrd", ds="maxcpu", timeframe="hour")
    left = {str(path) for path in settings.graph_dir.iterdir()}
    assert names[2] in left
    assert len(left) == 2


def test_colons_in_paths_end_nothing() -> None:
    (definition,) = (
        word for word in graph.graph_arguments(Path("/a:b/c"), ["cpu"], 0, 1, "MAX") if word.startswith("DEF")
    )
    assert definition == "DEF:v0=/a\\:b/c:cpu:MAX"
