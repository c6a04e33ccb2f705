"""``/nodes/{node}/termproxy``, ``vncshell`` and ``vncwebsocket``: a terminal on a node (pvecm 6.8, guests 9).

None of them is forwarded: the port is one of the node that was asked, and another node is reached by SSH.
"""

from __future__ import annotations

from typing import Final

from quorate.access.consoles import verify_console
from quorate.access.directory import AuthenticationError, directory_of
from quorate.api.access_login import INVALID_CONSOLE_TICKET, log_refusal
from quorate.api.nodes import NODE
from quorate.cluster.host import Host
from quorate.cluster.ssh import member_command
from quorate.console.command import CEPH_INSTALL, COMMANDS, LOGIN, UPGRADE, local_command, remote_command
from quorate.console.session import PRIVILEGE, open_console
from quorate.rules import ROOT, Rights, Values
from quorate.schema import (
    VERIFICATION_FAILED,
    And,
    ApiError,
    Boolean,
    Check,
    Context,
    Integer,
    Named,
    Object,
    Operation,
    String,
)
from quorate.settings import CONSOLE_PORTS

MAX_TICKET: Final = 512
MAX_OPTIONS: Final = 4096


def _open_terminal(ctx: Context, node: str, cmd: str = LOGIN, cmd_opts: str = "") -> dict[str, object]:
    if cmd_opts:
        text = f"the command '{cmd}' takes no parameters"
        raise ApiError(400, VERIFICATION_FAILED, {"cmd-opts": text})
    if cmd == CEPH_INSTALL:
        raise ApiError(
            501, "Ceph is not managed here: install its packages with apt, in a shell (cmd 'login')"
        )
    if node == ctx.node:
        argv = local_command(ctx.user, cmd, str(ctx.settings.login_program))
    else:
        argv = remote_command(ctx.user, cmd, _ssh_to(ctx, node))
    console = open_console(ctx.settings, ctx.user, f"/nodes/{node}", argv)
    return {**console._asdict(), "upid": str(console.upid)}


def _ssh_to(ctx: Context, node: str) -> list[str]:
    host = Host(settings=ctx.settings, node=ctx.node)
    member = host.cfs.members().nodes.get(node)
    if member is None or member.ip is None:
        raise ApiError(500, f"unable to get remote IP address for node '{node}'")
    return member_command(host, node, member.ip)


def _no_vnc(ctx: Context, node: str, **_ignored: object) -> None:
    raise ApiError(501, f"there are no VNC shells here: use a terminal, POST /nodes/{node}/termproxy")


def _verify_port(ctx: Context, node: str, port: int, vncticket: str) -> dict[str, int]:
    """What lets the front connect to the port, see quorate.api.relay."""
    path = f"/nodes/{node}"
    try:
        verify_console(directory_of(ctx.settings), ctx.user, vncticket, path, [PRIVILEGE], port)
    except AuthenticationError as err:
        log_refusal(ctx, ctx.user, err)
        raise ApiError(401, INVALID_CONSOLE_TICKET) from err
    return {"port": port}


def _asks_for_login_or_is_root(rights: Rights, values: Values) -> bool:
    return rights.user == ROOT or values.get("cmd", LOGIN) == LOGIN


_CONSOLE: Final = Check("/nodes/{node}", (PRIVILEGE,))
_OPEN: Final = And(
    _CONSOLE,
    Named(
        f"user != {ROOT}",
        f"{ROOT} alone for another 'cmd' than '{LOGIN}'",
        _asks_for_login_or_is_root,
        frozenset({"cmd"}),
    ),
)
_PORT: Final = Integer(
    description="Where the console listens, on the node that was asked.",
    minimum=CONSOLE_PORTS[0],
    maximum=CONSOLE_PORTS[-1],
)
_COMMAND: Final = {
    "node": NODE,
    "cmd": String(
        description="What to run: a login (for root@pam: its shell), or for root@pam alone"
        f" '{UPGRADE}' (apt-get dist-upgrade); '{CEPH_INSTALL}' is answered by 501.",
        enum=COMMANDS,
        optional=True,
        default=LOGIN,
    ),
    "cmd-opts": String(
        description="Parameters for the command, separated by NUL; none of the commands takes any.",
        max_length=MAX_OPTIONS,
        optional=True,
    ),
}
_OPENED: Final = {
    "user": String(description="For the first line to the console, with the ticket."),
    "ticket": String(description="Opens this console, within 40 s."),
    "port": _PORT,
    "upid": String(description="The task behind it."),
}

OPERATIONS: Final = [
    Operation(
        method="POST",
        path="/nodes/{node}/termproxy",
        name="termproxy",
        description="Open a terminal on a node, for a client that comes within 10 s through 'vncwebsocket' of"
        " the node that was asked. Another node is reached by SSH.",
        handler=_open_terminal,
        parameters=_COMMAND,
        returns=Object(properties=_OPENED),
        permission=_OPEN,
        protected=True,
    ),
    Operation(
        method="POST",
        path="/nodes/{node}/vncshell",
        name="vncshell",
        description="Open a shell over VNC. Not available: the answer is 501, and names 'termproxy'.",
        handler=_no_vnc,
        parameters={
            **_COMMAND,
            "websocket": Boolean(description="The client comes by a WebSocket.", optional=True),
            "width": Integer(description="Of the screen.", minimum=16, maximum=4096, optional=True),
            "height": Integer(description="Of the screen.", minimum=16, maximum=2160, optional=True),
        },
        returns=Object(
            properties={
                **_OPENED,
                "cert": String(description="Certificate of the node."),
                "password": String(description="For VNC, with 'websocket'.", optional=True),
            }
        ),
        permission=_OPEN,
        protected=True,
    ),
    Operation(
        method="GET",
        path="/nodes/{node}/vncwebsocket",
        name="vncwebsocket",
        description="Become a WebSocket (when the request asks for the upgrade) that passes bytes on to a"
        " console and back. Without an upgrade: whether the ticket is good.",
        handler=_verify_port,
        parameters={
            "node": NODE,
            "port": _PORT,
            "vncticket": String(description="The console's ticket.", max_length=MAX_TICKET),
        },
        returns=Object(properties={"port": _PORT}),
        permission=_CONSOLE,
    ),
]
