"""``/nodes/{node}/startall``, ``stopall``: start and end of a node's guests (pvecm 10, guests 7.7, 8)."""

from __future__ import annotations

import os
import sys
import syslog
from collections.abc import Callable
from typing import Final

from quorate.api.cluster_options import options_of
from quorate.api.nodes import NODE
from quorate.cfs import Cfs, Clock
from quorate.guests.bulk import start_all, stop_all, wait_for_quorum
from quorate.guests.local import local_guests, managed_guests, remove_backup_locks
from quorate.guests.power import GuestPower, NoGuests
from quorate.guests.startup import to_start, to_stop, worker_count
from quorate.rules import Rights, Values
from quorate.schema import Boolean, Context, Integer, Named, Operation, Parameter, String
from quorate.settings import Settings
from quorate.tasks import start_worker, warn

DEFAULT_TIMEOUT: Final = 180
MAX_TIMEOUT: Final = 7200
MAX_WORKERS: Final = 64

make_power: Callable[[Settings], GuestPower] = NoGuests
"""Who starts and ends guests on this node."""


def _start(
    ctx: Context,
    node: str,
    force: bool = False,
    vms: list[str] | None = None,
    max_workers: int | None = None,
) -> str:
    def work(_upid: object) -> None:
        cfs, clock = Cfs(ctx.settings), Clock()
        wait_for_quorum(cfs.quorate, _say, clock)
        remove_backup_locks(ctx.settings, cfs, ctx.node, warn)
        groups = to_start(
            local_guests(cfs, ctx.node, warn), managed_guests(cfs), force=force, only=_numbers(vms)
        )
        start_all(
            groups,
            make_power(ctx.settings),
            workers=_workers(ctx, max_workers),
            quorate=cfs.quorate,
            say=_say,
            clock=clock,
        )

    return str(start_worker("startall", "", ctx.user, work, ctx.settings))


def _stop(
    ctx: Context,
    node: str,
    vms: list[str] | None = None,
    force_stop: bool = True,
    timeout: int = DEFAULT_TIMEOUT,
    max_workers: int | None = None,
) -> str:
    def work(_upid: object) -> None:
        stop_all(
            to_stop(local_guests(Cfs(ctx.settings), ctx.node, warn), only=_numbers(vms)),
            make_power(ctx.settings),
            workers=_workers(ctx, max_workers),
            timeout=timeout,
            force=force_stop,
            say=_say,
            clock=Clock(),
        )
        syslog.syslog(syslog.LOG_INFO, f"<{ctx.user}> all VMs and CTs stopped")

    return str(start_worker("stopall", "", ctx.user, work, ctx.settings))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _numbers(vms: list[str] | None) -> set[int] | None:
    return {int(vmid) for vmid in vms} if vms else None


def _workers(ctx: Context, asked: int | None) -> int:
    configured = options_of(ctx.settings).get("max_workers")
    return worker_count(asked, configured if isinstance(configured, int) else None, os.cpu_count() or 1)


def _may_power(rights: Rights, values: Values) -> bool:
    if rights.may("/", "VM.PowerMgmt"):
        return True
    vms = values.get("vms")
    named = vms if isinstance(vms, list) else []
    return bool(named) and all(rights.may(f"/vms/{vmid}", "VM.PowerMgmt") for vmid in named)


# -- declarations ---------------------------------------------------------------------------------------

_PERMISSION: Final = Named(
    "/, VM.PowerMgmt",
    "VM.PowerMgmt on /, or on /vms/ID of every guest in 'vms'",
    _may_power,
    frozenset({"vms"}),
)
_COMMON: Final[dict[str, Parameter]] = {
    "node": NODE,
    "vms": String(description="Only these guests.", format="pve-vmid-list", optional=True),
    "max-workers": Integer(
        description="So many guests at once; default: 'max_workers' of the cluster's options, else one less"
        " than the node has processors, from 1 to 8.",
        minimum=1,
        maximum=MAX_WORKERS,
        optional=True,
    ),
}
_UPID: Final = String(description="Identifier of the task.")

OPERATIONS: Final = [
    Operation(
        method="POST",
        path="/nodes/{node}/startall",
        name="startall",
        description="Start the node's guests that have 'onboot', in the order of their 'startup', as soon as"
        " the cluster has quorum. This version cannot start guests itself: the task says so for each.",
        handler=_start,
        parameters={
            **_COMMON,
            "force": Boolean(description="Also guests without 'onboot'.", default=False, optional=True),
        },
        returns=_UPID,
        permission=_PERMISSION,
        protected=True,
        proxyto_node=True,
    ),
    Operation(
        method="POST",
        path="/nodes/{node}/stopall",
        name="stopall",
        description="End all guests that run on the node, in the opposite order. This version cannot end"
        " guests itself: the task says so for each.",
        handler=_stop,
        parameters={
            **_COMMON,
            "force-stop": Boolean(description="End guests that take too long.", default=True, optional=True),
            "timeout": Integer(
                description="Seconds that a guest has whose configuration says nothing.",
                minimum=0,
                maximum=MAX_TIMEOUT,
                default=DEFAULT_TIMEOUT,
                optional=True,
            ),
        },
        returns=_UPID,
        permission=_PERMISSION,
        protected=True,
        proxyto_node=True,
    ),
]
