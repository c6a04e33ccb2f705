"""``/nodes/{node}/services``: the node's services and what can be done with them (pvecm 6.8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from quorate.api.node_status import AUDIT
from quorate.api.nodes import NODE
from quorate.cluster.commands import CommandError, run_command
from quorate.host.services import COMMANDS, SERVICES, Service, parse_show, refusal, show_command, unit_of
from quorate.schema import ApiError, Array, Check, Context, Object, Operation, String
from quorate.tasks import start_worker

SHOW_SECONDS: Final = 10.0
COMMAND_SECONDS: Final = 120.0
"""systemd itself ends a start or stop that hangs after 90 s."""

_SERVICE: Final = String(description="Service.", enum=SERVICES)


def _services(ctx: Context, node: str) -> list[Service]:
    try:
        return parse_show(run_command(show_command(), timeout=SHOW_SECONDS).stdout)
    except CommandError as err:
        raise ApiError(500, f"unable to read the services - {_said(err)}") from err


def _state(ctx: Context, node: str, service: str) -> Service:
    try:
        found = parse_show(run_command(show_command([service]), timeout=SHOW_SECONDS).stdout, [service])
    except CommandError as err:
        raise ApiError(500, f"unable to read the state of '{service}' - {_said(err)}") from err
    if not found:
        raise ApiError(500, f"there is no service '{service}' on this node")
    return found[0]


def _said(err: CommandError) -> str:
    """Without the command's many arguments."""
    return f"systemctl: {err.stderr.strip() or err.reason}"


def _index(ctx: Context, node: str, service: str) -> list[dict[str, str]]:
    return [{"subdir": name} for name in ("state", *COMMANDS)]


def _do(command: str) -> Callable[..., str]:
    def handler(ctx: Context, node: str, service: str) -> str:
        if (problem := refusal(service, command)) is not None:
            raise ApiError(500, problem)
        argv = ["systemctl", command, unit_of(service)]

        def work(_upid: object) -> None:
            print(" ".join(argv), flush=True)
            run_command(argv, timeout=COMMAND_SECONDS, echo=True)

        return str(start_worker(f"srv{command}", service, ctx.user, work, ctx.settings))

    return handler


_TEXTS: Final = {
    "start": "Start the service.",
    "stop": "Stop the service; what is needed to start it again from afar is refused.",
    "restart": "Restart the service.",
    "reload": "Have the service read its configuration again.",
}
_RESULT: Final = Object(
    properties={
        "service": String(description="Its name here.", enum=SERVICES),
        "name": String(description="Name of its unit."),
        "desc": String(description="What it is."),
        "state": String(description="E.g. running, dead, exited."),
        "active-state": String(description="E.g. active, inactive, failed."),
        "unit-state": String(description="E.g. enabled, disabled, masked."),
    }
)

OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/nodes/{node}/services",
        name="services",
        description="The services of a cluster's node that exist here.",
        handler=_services,
        parameters={"node": NODE},
        returns=Array(items=_RESULT, link="{service}"),
        permission=AUDIT,
        protected=True,
        proxyto_node=True,
    ),
    Operation(
        method="GET",
        path="/nodes/{node}/services/{service}",
        name="srvcmdidx",
        description="List what can be done with a service.",
        handler=_index,
        parameters={"node": NODE, "service": _SERVICE},
        returns=Array(items=Object(properties={"subdir": String()}), link="{subdir}"),
        permission=AUDIT,
        proxyto_node=True,
    ),
    Operation(
        method="GET",
        path="/nodes/{node}/services/{service}/state",
        name="service_state",
        description="State of a service.",
        handler=_state,
        parameters={"node": NODE, "service": _SERVICE},
        returns=_RESULT,
        permission=AUDIT,
        protected=True,
        proxyto_node=True,
    ),
    *(
        Operation(
            method="POST",
            path=f"/nodes/{{node}}/services/{{service}}/{command}",
            name=f"service_{command}",
            description=_TEXTS[command],
            handler=_do(command),
            parameters={"node": NODE, "service": _SERVICE},
            returns=String(description="Identifier of the task."),
            permission=Check("/nodes/{node}", ("Sys.Modify",)),
            protected=True,
            proxyto_node=True,
        )
        for command in COMMANDS
    ),
]
