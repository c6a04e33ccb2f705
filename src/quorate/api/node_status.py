"""``/nodes/{node}``: status, power, report (pvecm 6.8). What is read is in quorate.host."""

from __future__ import annotations

import subprocess
import time
from functools import lru_cache
from typing import Final

from quorate.api.nodes import NODE
from quorate.api.root import version_info
from quorate.cluster.commands import CommandError, run_command
from quorate.host.machine import Machine
from quorate.host.report import make_report
from quorate.schema import ApiError, Array, Check, Context, Integer, Number, Object, Operation, String
from quorate.settings import Settings

AUDIT: Final = Check("/nodes/{node}", ("Sys.Audit",))
POWER_SECONDS: Final = 2
"""Until the node goes down: time for the answer to reach who asked."""


@lru_cache(maxsize=8)
def _machine(settings: Settings) -> Machine:
    return Machine(settings)


def _status(ctx: Context, node: str) -> dict[str, object]:
    version = version_info()
    name = f"pve-manager/{version['version']}/{version['repoid']}"
    try:
        return {**_machine(ctx.settings).status(), "pveversion": name}
    except (OSError, ValueError, IndexError, KeyError) as err:
        raise ApiError(500, f"unable to read this node's figures - {err}") from err


def _power(ctx: Context, node: str, command: str) -> None:
    """The node goes down in a moment, by a process that belongs to nobody."""
    action = "reboot" if command == "reboot" else "poweroff"
    argv = ["/bin/sh", "-c", f"sleep {POWER_SECONDS}; exec systemctl {action}"]
    null = subprocess.DEVNULL
    try:
        subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, start_new_session=True)
    except OSError as err:
        raise ApiError(500, f"unable to {command} this node: {err.strerror}") from err


def _report(ctx: Context, node: str) -> str:
    try:
        return make_report(ctx.settings, ctx.node, run_command, time.time())
    except CommandError as err:
        raise ApiError(500, str(err)) from err


# -- declarations ---------------------------------------------------------------------------------------


def _bytes(*names: str) -> Object:
    return Object(properties={name: Integer(description="Bytes.", unit="bytes") for name in names})


_STATUS: Final = Object(
    properties={
        "uptime": Integer(description="Seconds.", unit="seconds"),
        "idle": Integer(description="Always 0."),
        "loadavg": Array(description="Of the last 1, 5 and 15 minutes.", items=String()),
        "kversion": String(description="Kernel, release and version."),
        "current-kernel": Object(
            properties={
                "sysname": String(),
                "release": String(),
                "version": String(),
                "machine": String(description="Architecture."),
            }
        ),
        "boot-info": Object(
            properties={
                "mode": String(enum=("efi", "legacy-bios")),
                "secureboot": Integer(description="Whether it is on.", enum=(0, 1), optional=True),
            }
        ),
        "cpuinfo": Object(
            properties={
                "model": String(),
                "sockets": Integer(),
                "cores": Integer(description="Of all sockets."),
                "cpus": Integer(description="Threads of all cores."),
                "mhz": String(),
                "flags": String(),
                "hvm": String(description="Whether it can run virtual machines: 0 or 1."),
                "user_hz": Integer(description="Clock ticks per second."),
                "vendor": String(),
                "family": String(),
            }
        ),
        "cpu": Number(description="Load of all processors, 0 to 1.", unit="fraction"),
        "wait": Number(description="Share of the time in which they waited for disks.", unit="fraction"),
        "memory": _bytes("total", "used", "free", "available"),
        "swap": _bytes("total", "used", "free"),
        "ksm": _bytes("shared"),
        "rootfs": _bytes("total", "used", "avail", "free"),
        "pveversion": String(description="pve-manager/VERSION/BUILD."),
    }
)

OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/nodes/{node}/status",
        name="status",
        description="State of the node now. Bytes everywhere.",
        handler=_status,
        parameters={"node": NODE},
        returns=_STATUS,
        permission=AUDIT,
        proxyto_node=True,
    ),
    Operation(
        method="POST",
        path="/nodes/{node}/status",
        name="node_cmd",
        description="Restart the node, or switch it off. It begins 2 s after the answer.",
        handler=_power,
        parameters={
            "node": NODE,
            "command": String(description="What to do.", enum=("reboot", "shutdown")),
        },
        permission=Check("/nodes/{node}", ("Sys.PowerMgmt",)),
        protected=True,
        proxyto_node=True,
    ),
    Operation(
        method="GET",
        path="/nodes/{node}/report",
        name="report",
        description="Facts about the node for whoever is to help. Holds no secrets.",
        handler=_report,
        parameters={"node": NODE},
        returns=String(description="The text."),
        permission=AUDIT,
        protected=True,
        proxyto_node=True,
    ),
]
