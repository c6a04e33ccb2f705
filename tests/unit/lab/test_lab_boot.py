"""How a node is started and entered: what must never be missing from script and arguments."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lab.boot import DROPPED, RootPlan, boot_script, enter_argv

PLAN = RootPlan(
    hostname="n3",
    lower=[Path("/layers/project"), Path("/layers/base")],
    upper=Path("/state/n3/upper"),
    work=Path("/state/n3/work"),
    root=Path("/state/n3/root"),
    binds={Path("/clone/src"): "/opt/quorate/src"},
    disks={Path("/state/n3/disk"): "/var/lib/pve-cluster"},
)


def test_the_boot_script_is_valid_shell() -> None:
    done = subprocess.run(["sh", "-n"], input=boot_script(PLAN), text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_layers_stand_topmost_first_and_binds_are_read_only() -> None:
    script = boot_script(PLAN)
    assert "lowerdir=/layers/project:/layers/base,upperdir=/state/n3/upper" in script
    assert "mount -o remount,bind,ro ./opt/quorate/src" in script
    assert "mount --bind /state/n3/disk ./var/lib/pve-cluster" in script
    assert "ro ./var/lib/pve-cluster" not in script
    assert "echo n3 > /proc/sys/kernel/hostname" in script


def test_both_ways_in_drop_what_would_touch_the_machine() -> None:
    assert f"--bounding-set {DROPPED}" in boot_script(PLAN)
    argv = enter_argv(4711, ["true"], cgroup="/lab.slice/run-1", env={})
    assert argv[argv.index("--bounding-set") + 1] == DROPPED
    for capability in ("sys_time", "sys_module", "sys_rawio", "syslog"):
        assert f"-{capability}" in DROPPED.split(",")


def test_entering_starts_from_an_empty_environment() -> None:
    argv = enter_argv(4711, ["pvecm", "status"], cgroup="/lab.slice/run-1", env={"LANG": "C", "EXTRA": "1"})
    assert argv[argv.index("env") + 1] == "-i"
    assert "LANG=C" in argv
    assert "EXTRA=1" in argv
    assert argv[-2:] == ["pvecm", "status"]
