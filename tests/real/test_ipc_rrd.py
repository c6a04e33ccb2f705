"""RRD files made by the real librrd, and values through the real rrdcached (status 3.4, 3.5)."""

from __future__ import annotations

import logging
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from quorate.pmxcfs.rrdwriter import RrdWriter

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("rrdtool") is None, reason="package rrdtool is missing"),
]

LOG = logging.getLogger("test.rrd")
NOW = int(time.time())
VALUES = {
    b"pve-node-9.0/n1": b"1000:c:%d:0.5:4:0.01:0.02:1000:500:0:0:2000:1000:1:2:500:0:0:0:0:0:0\0",
    b"pve-vm-9.0/100": b"5:vm:running:0:%d:1:0.1:100:50:10:1:1:2:3:4:55:0:0:0:0:0:0\0",
    b"pve2-storage/n1/local": b"%d:1000:10\0",
}
SIZES = {"pve-node-9.0/n1": 1504296, "pve-vm-9.0/100": 1346072, "pve-storage-9.0/n1/local": 159392}


def last_update(path: Path) -> int:
    out = subprocess.run(
        ["rrdtool", "last", str(path)], capture_output=True, text=True, check=True, timeout=30
    )
    return int(out.stdout)


def test_files_are_made_as_the_original_makes_them(tmp_path: Path) -> None:
    writer = RrdWriter(tmp_path, tmp_path / "absent", LOG)
    for key, value in VALUES.items():
        writer.submit(key, value % NOW)
    writer.stop(30)
    for name, size in SIZES.items():
        path = tmp_path / name
        assert path.stat().st_size == size
        assert path.stat().st_mode & 0o777 == 0o644
        assert last_update(path) == NOW


def test_values_go_through_rrdcached_and_into_the_file_when_it_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if shutil.which("rrdcached") is None:
        pytest.skip("package rrdcached is missing")
    base, sock = tmp_path / "db", tmp_path / "rrdcached.sock"
    base.mkdir()
    daemon = subprocess.Popen(
        ["rrdcached", "-g", "-l", f"unix:{sock}", "-b", str(base), "-B", "-F", "-p", str(tmp_path / "pid")],
        stderr=subprocess.DEVNULL,
    )
    writer = RrdWriter(base, sock, LOG)
    path = base / "pve-storage-9.0/n1/local"
    try:
        deadline = time.monotonic() + 20
        while not sock.exists():
            assert daemon.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        writer.submit(b"pve2-storage/n1/local", b"%d:1000:10\0" % NOW)
        assert writer.wait_idle(20)
        assert last_update(path) < NOW  # rrdcached has it
    finally:
        daemon.terminate()
        daemon.wait(20)
    assert last_update(path) == NOW  # it wrote at its end
    writer.submit(b"pve2-storage/n1/local", b"%d:1000:11\0" % (NOW + 10))
    writer.stop(20)
    assert last_update(path) == NOW + 10
    assert "writing the file instead" in caplog.text
