"""How a node starts and how a command enters it: namespaces, mounts, capabilities. Text and argument lists
only; nothing is run here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

DROPPED = "-sys_time,-sys_module,-sys_rawio,-syslog"
"""Without these a `date -s` in a node would move the machine's clock. Dropped on both ways in."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COMMAND_SLICE = "lab.slice"
"""Where commands of ours live in the node's cgroups: not in its root, which would break systemctl status."""

DEVICES = {
    # name: (major, minor)
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
    "fuse": (10, 229),
    "net/tun": (10, 200),
}


@dataclass(frozen=True, slots=True)
class RootPlan:
    """What a node's root is made of. ``lower``: overlay layers, topmost first, none inside another.
    ``disks``: writable binds, machine's path to node's path."""

    hostname: str
    lower: Sequence[Path]
    upper: Path
    work: Path
    root: Path
    binds: Mapping[Path, str]
    disks: Mapping[Path, str] = field(default_factory=dict)


def boot_script(plan: RootPlan) -> str:
    """The shell script that turns a process with fresh namespaces into the node's PID 1."""
    lower = ":".join(str(layer) for layer in plan.lower)
    nodes = "\n".join(
        f"mknod -m 666 dev/{name} c {major} {minor}" for name, (major, minor) in DEVICES.items()
    )
    binds = "\n".join(
        f"mkdir -p .{target}; mount --bind {source} .{target}; mount -o remount,bind,ro .{target}"
        for source, target in plan.binds.items()
    )
    disks = "\n".join(
        f"mkdir -p .{target}; mount --bind {source} .{target}" for source, target in plan.disks.items()
    )
    return f"""set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir={lower},upperdir={plan.upper},workdir={plan.work} {plan.root}
cd {plan.root}
echo {plan.hostname} > /proc/sys/kernel/hostname

# The kernel's views: the machine's own settings are read-only, the node's network is its own
mount -t proc -o nosuid,nodev,noexec proc proc
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,ro proc/sys
mount -t sysfs -o nosuid,nodev,noexec sysfs sys
mount -o remount,bind,ro sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid tmpfs dev
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs tmp

# The journal tells boots apart by this
cat proc/sys/kernel/random/uuid > run/.boot_id
mount --bind run/.boot_id proc/sys/kernel/random/boot_id

mkdir dev/pts dev/shm dev/mqueue dev/net dev/.lxc dev/.lxc/proc dev/.lxc/sys
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t mqueue mqueue dev/mqueue
mount -t proc proc dev/.lxc/proc   # unmasked copies: unprivileged containers need them
mount -t sysfs sysfs dev/.lxc/sys
{nodes}
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
for file in kmsg sysrq-trigger; do
  [ ! -e proc/$file ] || mount --bind dev/null proc/$file
done
{binds}
{disks}
mkdir -p .old
pivot_root . .old
umount -l /.old
rmdir /.old 2>/dev/null || true
# or a FUSE mount made later is not seen by units with a mount namespace of their own
mount --make-rshared /
exec setpriv --bounding-set {DROPPED} env -i container=lab PATH={PATH} /sbin/init
"""


def start_argv(*, cgroup: Path, netns: str, script: Path) -> list[str]:
    """Start the boot script in the node's cgroup with namespaces of its own. Ends with 129 on a reboot."""
    return [
        *["sh", "-c", 'echo 0 > "$1/cgroup.procs"; shift; exec "$@"', "sh", str(cgroup)],
        *["nsenter", f"--net=/run/netns/{netns}"],
        *["unshare", "-m", "-u", "-i", "-p", "-C", "--fork", "--kill-child", "sh", str(script)],
    ]


def enter_argv(
    init: int, argv: Sequence[str], *, cgroup: str, env: Mapping[str, str], directory: str = "/root"
) -> list[str]:
    """Run ``argv`` in the node whose PID 1 is ``init``, in the existing cgroup ``cgroup`` (node's path)."""
    settings = {"HOME": "/root", "LANG": "C.UTF-8", "SYSTEMD_PAGER": "", "PATH": PATH, "TERM": "dumb"} | dict(
        env
    )
    return [
        *["nsenter", "-t", str(init), "-m", "-u", "-i", "-n", "-p", "-C", "--root", "--wdns=/"],
        *["setpriv", "--bounding-set", DROPPED, "env", "-i"],
        *[f"{name}={value}" for name, value in settings.items()],
        *["sh", "-c", 'echo 0 > "/sys/fs/cgroup$1/cgroup.procs"; cd "$2"; shift 2; exec "$@"', "sh"],
        *[cgroup, directory, *argv],
    ]
