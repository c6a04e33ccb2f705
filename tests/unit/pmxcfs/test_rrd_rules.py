"""Keys and values of RRD texts against what the original wrote (status 3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.pmxcfs import rrd
from tests.support.ipc_vectors import VECTORS

BASE = "/var/lib/rrdcached/db/"
RECORDED = VECTORS["rrd"]["calls_recorded_from_original"]
CORRECTED = {
    # Without a surplus column the original cuts the last character.
    "pve-node-9.2/a4": "1795354124:0.5:4:0.01:0.02:1000:500:0:0:2000:1000:111:222:500:0:0.1:0.2:0.3:0.4:0.55",
    "pve-vm-/100": "1795354124:1",
}
REFUSED_HERE = {"pve2-storage//x"}


@pytest.mark.parametrize("call", RECORDED, ids=[call["key"] for call in RECORDED])
def test_recorded_calls(call: dict[str, str]) -> None:
    key, value = call["key"].encode(), call["data"].encode() + b"\0"
    if call.get("result") == "rejected" or call["key"] in REFUSED_HERE:
        with pytest.raises(rrd.RrdError, match="unknown/wrong key"):
            rrd.plan(key, value)
        return
    update = rrd.plan(key, value)
    assert BASE + update.file == call["file"]
    assert update.text == CORRECTED.get(call["key"], call["update"])


def test_the_corrections_are_the_two_quirks_of_the_record() -> None:
    assert {call["key"] for call in RECORDED if "quirk" in call} == set(CORRECTED)


@pytest.mark.parametrize(("name", "kind"), list(zip(("node", "vm", "storage"), rrd.KINDS, strict=True)))
def test_recorded_creation_arguments(name: str, kind: rrd.Kind) -> None:
    assert kind.creation_arguments() == VECTORS["rrd"]["create"][name]
    assert VECTORS["rrd"]["create"]["step"] == rrd.STEP


@pytest.mark.parametrize(
    "key",
    [
        b"pve-node-9.0/..",
        b"pve-node-9.0/.",
        b"pve-storage-9.0/../x",
        b"pve-storage-9.0/n1/..",
        b"pve-storage-9.0//x",
        b"pve-storage-9.0/n1/",
        b"pve-node-9.0/a b",
        b"pve-node-9.0/a\nFLUSHALL",
        b"pve-node-9.0/" + b"x" * 256,
        b"pve-node-9.0",
    ],
)
def test_names_that_lead_elsewhere_are_refused(key: bytes) -> None:
    with pytest.raises(rrd.RrdError):
        rrd.plan(key, b"1:2:1700000000:1\0")


@pytest.mark.parametrize(
    "value", [b"", b"1:2", b"1:2:\0", b"1:2:3 4", b"1:2:3:4\nFLUSHALL", b"1:2:N:4", b"1:2:-1:2"]
)
def test_values_that_are_none_are_refused(value: bytes) -> None:
    with pytest.raises(rrd.RrdError, match="value"):
        rrd.plan(b"pve-node-9.0/n1", value)


@given(st.binary(max_size=60), st.binary(max_size=80))
def test_a_line_for_rrdcached_stays_one_line(key: bytes, value: bytes) -> None:
    for prefix in (b"pve-node-9.0/", b"pve2-storage/", b""):
        try:
            update = rrd.plan(prefix + key, value)
        except rrd.RrdError:
            continue
        assert not any(character.isspace() for character in update.file + update.text)
        assert ".." not in update.file.split("/")


def test_midnight_is_the_days_beginning() -> None:
    now = 1795354124
    assert 0 <= now - rrd.local_midnight(now) < 26 * 3600
    assert rrd.local_midnight(rrd.local_midnight(now)) == rrd.local_midnight(now)
