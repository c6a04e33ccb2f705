"""Storages: which of them this node tells the space of, what is asked, what answers mean (guests 4.1)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from quorate.pmxcfs import rrd
from quorate.statd import space
from quorate.statd.figures import Space
from quorate.statd.prober import Answer, Prober, Question
from quorate.statd.space import SpaceError
from quorate.statd.storages import (
    Dataset,
    Directory,
    Storage,
    ThinPool,
    VolumeGroup,
    parse_mounts,
    spaces,
    storage_value,
    storages,
)

TEXT = """\
# comment
dir: local
\tpath /elsewhere
\tcontent iso

dir: shared1
        path /mnt/shared1
        is_mountpoint yes
        nodes n1,n2

dir: below
\tpath /mnt/a/b
\tis_mountpoint /mnt/a
nfs: nas
\tserver 10.1.1.9
\texport /space
cifs: win
\tserver 10.1.1.8
\tpath /mnt/win
lvm: disks
\tvgname vg0
lvmthin: fast
\tthinpool data
\tvgname pve
zfspool: tank
\tpool rpool/data
btrfs: b-tree
\tpath /srv/b
dir: off
\tpath /off
\tdisable

dir: theirs
\tpath /theirs
\tnodes n3
"""
LOCAL = Storage("local", Directory(path="/var/lib/vz"))


def test_storages_of_this_node() -> None:
    assert storages(TEXT, "n1") == [
        LOCAL,
        Storage("shared1", Directory(path="/mnt/shared1", mountpoint="/mnt/shared1")),
        Storage("below", Directory(path="/mnt/a/b", mountpoint="/mnt/a")),
        Storage("nas", Directory(path="/mnt/pve/nas", mountpoint="/mnt/pve/nas")),
        Storage("win", Directory(path="/mnt/win", mountpoint="/mnt/win")),
        Storage("disks", VolumeGroup(group="vg0")),
        Storage("fast", ThinPool(group="pve", pool="data")),
        Storage("tank", Dataset(name="rpool/data")),
        Storage("b-tree", Directory(path="/srv/b")),
    ]
    names = [storage.name for storage in storages(TEXT, "n3")]
    assert names == ["local", "below", "nas", "win", "disks", "fast", "tank", "b-tree", "theirs"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "nonsense\n\tpath /x\n",
        "dir: a:b\n\tpath /x\n",
        "dir: relative\n\tpath x\n",
        "lvm: none\n",
        "lvmthin: half\n\tvgname pve\n",
        "zfspool: option\n\tpool -r\n",
        "pbs: backups\n\tserver 10.1.1.9\n",
    ],
)
def test_local_is_always_there_and_the_senseless_is_not(text: str) -> None:
    assert storages(text, "n1") == [LOCAL]


def test_mounts() -> None:
    text = "server:/x /mnt/pve/nas\\040two nfs rw 0 0\n/dev/sda1 / ext4 rw 0 0\nshort\n"
    assert parse_mounts(text) == {"/mnt/pve/nas two", "/"}


GROUPS = json.dumps(
    {
        "report": [
            {
                "vg": [
                    {"vg_name": "vg0", "vg_size": "1000", "vg_free": "400"},
                    {"vg_name": "odd", "vg_size": "1.5", "vg_free": ""},
                ]
            }
        ]
    }
)
POOLS = json.dumps(
    {
        "report": [
            {
                "lv": [
                    {"vg_name": "pve", "lv_name": "data", "lv_size": "2000", "data_percent": "12.55"},
                    {"vg_name": "pve", "lv_name": "off", "lv_size": "2000", "data_percent": ""},
                    {"vg_name": "pve", "lv_name": "odd", "lv_size": "2000", "data_percent": "nan"},
                ]
            }
        ]
    }
)


class Programs:
    """Stands for all of them."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, questions: Iterable[Question]) -> Mapping[str, Answer]:
        found = {question.name: question for question in questions}
        self.asked += found
        return {name: self.answers.get(name, Answer(failure="'x' does not answer")) for name in found}


def test_spaces_of_all_kinds_are_asked_for_at_once() -> None:
    programs = Programs(
        {
            "/host/var/lib/vz": Answer(text="10 4 512\n"),
            "/host/srv/b": Answer(failure="'stat' failed: exit code 1: no such file", refused=True),
            "vgs": Answer(text=GROUPS),
            "lvs": Answer(text=POOLS),
            "zfs rpool/data": Answer(text="30\t70\n"),
        }
    )
    found = spaces(storages(TEXT, "n1"), {"/mnt/a"}, Path("/host"), programs)
    assert sorted(programs.asked) == sorted({*programs.answers, "/host/mnt/a/b"})
    known = {storage.name: value for storage, value in found if isinstance(value, Space)}
    assert known == {
        "local": Space(5120, 3072),
        "disks": Space(1000, 600),
        "fast": Space(2000, 251),
        "tank": Space(100, 30),
    }
    errors = {storage.name: value for storage, value in found if isinstance(value, SpaceError)}
    assert {name: (str(error), error.absent) for name, error in errors.items()} == {
        "shared1": ("it is not mounted", True),
        "nas": ("it is not mounted", True),
        "win": ("it is not mounted", True),
        "below": ("'x' does not answer", False),
        "b-tree": ("'stat' failed: exit code 1: no such file", True),
    }


def test_several_groups_are_one_question() -> None:
    text = "lvm: one\n\tvgname vg0\nlvm: two\n\tvgname gone\nlvm: three\n\tvgname odd\n"
    programs = Programs({"vgs": Answer(text=GROUPS)})
    found = dict(spaces(storages(text, "n1")[:3], set(), Path("/"), programs))
    assert programs.asked == ["vgs"]
    assert [str(value) for value in found.values()] == [
        "Space(total=1000, used=600)",
        "there is no volume group 'gone'",
        "LVM's report makes no sense: vg_size is '1.5'",
    ]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"report": 1}', '{"report": [{"lv": 1}]}', "[" * 100_000])
def test_a_report_that_makes_no_sense(text: str) -> None:
    with pytest.raises(SpaceError, match="makes no sense"):
        space.group_space(Answer(text=text), "vg0")


@pytest.mark.parametrize(
    ("pool", "reason"),
    [("off", "is not active"), ("odd", "data_percent='nan'"), ("gone", "there is no thin pool 'pve/gone'")],
)
def test_thin_pools_whose_use_is_not_known(pool: str, reason: str) -> None:
    with pytest.raises(SpaceError, match=reason):
        space.pool_space(Answer(text=POOLS), "pve", pool)


@pytest.mark.parametrize("text", ["", "10 4", "10 4 5 6", "10 4 -512", "a b c", f"1 1 {'9' * 30}"])
def test_answers_of_stat_and_zfs_that_make_no_sense(text: str) -> None:
    with pytest.raises(SpaceError, match="'stat' answered"):
        space.directory_space(Answer(text=text))
    with pytest.raises(SpaceError, match="'zfs' answered"):
        space.dataset_space(Answer(text=f"{text} x"))


def test_space_of_a_real_directory(tmp_path: Path) -> None:
    prober = Prober()
    here, missing = space.directory(tmp_path), space.directory(tmp_path / "missing")
    answers = prober.ask([here, missing])
    found = space.directory_space(answers[here.name])
    assert found.total >= found.used > 0
    with pytest.raises(SpaceError, match="No such file or directory") as caught:
        space.directory_space(answers[missing.name])
    assert caught.value.absent


def test_value() -> None:
    value = storage_value(Space(100, 40), 7)
    assert value == b"7:100:40\0"
    assert rrd.plan(b"pve-storage-9.0/n1/local", value).text == "7:100:40"
