"""Storages that are directories: which of them this node tells the space of (guests 4.1, status 3.3)."""

from __future__ import annotations

import pytest

from quorate.pmxcfs import rrd
from quorate.statd.figures import Space
from quorate.statd.storages import Storage, is_there, parse_mounts, storage_value, storages

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
lvmthin: fast
\tvgname pve
dir: off
\tpath /off
\tdisable

dir: theirs
\tpath /theirs
\tnodes n3
"""


def test_directories_of_this_node() -> None:
    assert storages(TEXT, "n1") == [
        Storage("local", "/var/lib/vz", None),
        Storage("shared1", "/mnt/shared1", "/mnt/shared1"),
        Storage("below", "/mnt/a/b", "/mnt/a"),
        Storage("nas", "/mnt/pve/nas", "/mnt/pve/nas"),
    ]
    assert [storage.name for storage in storages(TEXT, "n3")] == ["local", "below", "nas", "theirs"]


@pytest.mark.parametrize("text", ["", "\n", "nonsense\n\tpath /x\n", "dir: a:b\n\tpath /x\n"])
def test_local_is_always_there(text: str) -> None:
    assert storages(text, "n1") == [Storage("local", "/var/lib/vz", None)]


def test_what_is_not_mounted_is_not_told() -> None:
    mounted = parse_mounts("server:/x /mnt/pve/nas\\040two nfs rw 0 0\n/dev/sda1 / ext4 rw 0 0\nshort\n")
    assert mounted == {"/mnt/pve/nas two", "/"}
    assert is_there(Storage("a", "/x", None), mounted)
    assert is_there(Storage("a", "/mnt/pve/nas two", "/mnt/pve/nas two"), mounted)
    assert not is_there(Storage("a", "/mnt/x", "/mnt/x"), mounted)


def test_value() -> None:
    value = storage_value(Space(100, 40), 7)
    assert value == b"7:100:40\0"
    assert rrd.plan(b"pve-storage-9.0/n1/local", value).text == "7:100:40"
