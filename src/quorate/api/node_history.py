"""``/nodes/{node}/rrddata``: the node's figures over time (pvecm 6.8)."""

from __future__ import annotations

import time
from typing import Final

from quorate.api.node_status import AUDIT
from quorate.api.nodes import NODE
from quorate.host.history import FUNCTIONS, TIMEFRAMES, HistoryError, node_history
from quorate.schema import ApiError, Array, Context, Integer, Number, Object, Operation, Parameter, String


def _rrddata(ctx: Context, node: str, timeframe: str, cf: str = "AVERAGE") -> list[dict[str, object]]:
    try:
        return node_history(ctx.settings, node, timeframe, cf, time.time())
    except HistoryError as err:
        raise ApiError(500, str(err)) from err


_TEXTS: Final = {
    "loadavg": "Load of the last minute.",
    "maxcpu": "Processors.",
    "cpu": "Load of the processors, 0 to 1.",
    "iowait": "Share of the time in which they waited for disks.",
    "memtotal": "Bytes of memory.",
    "memused": "Bytes in use.",
    "memavailable": "Bytes available.",
    "arcsize": "Bytes of ZFS's cache.",
    "swaptotal": "Bytes of swap space.",
    "swapused": "Bytes in use.",
    "roottotal": "Bytes of the root file system.",
    "rootused": "Bytes in use.",
    "netin": "Bytes per second received.",
    "netout": "Bytes per second sent.",
    "pressurecpusome": "Percent of the time in which some work waited for processors.",
    "pressureiosome": "... for disks.",
    "pressureiofull": "... in which all did.",
    "pressurememorysome": "Percent of the time in which some work waited for memory.",
    "pressurememoryfull": "... in which all did.",
}
_POINT: Final[dict[str, Parameter]] = {
    "time": Integer(description="Epoch seconds.", unit="epoch"),
    **{key: Number(description=text, optional=True) for key, text in _TEXTS.items()},
}

OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/nodes/{node}/rrddata",
        name="rrddata",
        description="The node's figures over time, oldest first. What is not known is left out.",
        handler=_rrddata,
        parameters={
            "node": NODE,
            "timeframe": String(
                description="hour, day: a point per minute; week, month: per half hour; year: per 6 hours;"
                " decade: per week.",
                enum=tuple(TIMEFRAMES),
            ),
            "cf": String(
                description="What a point says of its time.",
                enum=FUNCTIONS,
                default="AVERAGE",
                optional=True,
            ),
        },
        returns=Array(items=Object(properties=_POINT)),
        permission=AUDIT,
        protected=True,
        proxyto_node=True,
    )
]
