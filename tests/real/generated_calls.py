"""What the run with generated values calls, as whom, and what it expects (test_api_schemathesis)."""

from __future__ import annotations

import re
from typing import Final

from tests.real.pmxcfs_world import NODE

WRITES: Final = re.compile(
    r"\w+ (/access/(users|groups|roles|acl|domains)\b.*|/pools.*|/cluster/options"
    r"|/nodes/{node}/(config|dns|hosts|time|network/{iface}))|(POST|DELETE) /nodes/{node}/network"
)
"""What an administrator may change here: nothing but files of the temporary cluster and node."""
RELAYS: Final = frozenset({"GET /nodes/{node}/vncwebsocket"})
"""What only who has a right may read."""
SLOW: Final = re.compile(r"/access/(ticket|vncticket|password|tfa|openid).*|.*/unlock-tfa")
"""Refusals take three seconds each, or lock somebody out. Called below, and by tests of their own."""

PLACES: Final = {
    "node": NODE,
    "userid": "carol@pve",
    "tokenid": "tk",
    "groupid": "ops",
    "roleid": "Reader",
    "realm": "corp",
    "poolid": "web",
    "iface": "eth0",
    "service": "corosync",
    "storage": "local",
}
"""What stands for a placeholder where the object has to be there; tasks are added when they are made."""

VMIDS: Final = {"qemu": "100", "lxc": "101"}

_HOUR: Final = {"timeframe": "hour"}
_GRAPH: Final = {**_HOUR, "ds": "cpu"}
QUERIES: Final = {
    "GET /nodes/{node}/rrddata": _HOUR,
    "GET /nodes/{node}/rrd": _GRAPH,
    "GET /nodes/{node}/qemu/{vmid}/rrddata": _HOUR,
    "GET /nodes/{node}/qemu/{vmid}/rrd": _GRAPH,
    "GET /nodes/{node}/lxc/{vmid}/rrddata": _HOUR,
    "GET /nodes/{node}/lxc/{vmid}/rrd": _GRAPH,
    "GET /nodes/{node}/storage/{storage}/rrddata": _HOUR,
    "GET /nodes/{node}/storage/{storage}/rrd": {**_HOUR, "ds": "used"},
}
"""What a call needs beside its path."""

_DAVE: Final = {"userid": "dave@pve"}
_TOKEN: Final = {**_DAVE, "tokenid": "t1"}
_LDAP: Final = {"server1": "10.0.0.8", "base_dn": "dc=lab", "user_attr": "uid"}

Call = tuple[str, dict[str, str], dict[str, str]]


def right_calls(password: str, console_ticket: str, running: str) -> list[Call]:
    """Changes, in this order: operation, values in the path, parameters. They have to succeed, but for those
    of WITHOUT_SUCCESS."""
    confirmed = {"password": password}
    return [
        ("POST /access/ticket", {}, {"username": "admin@pve", **confirmed}),
        (
            "POST /access/vncticket",
            {},
            {"authid": "admin@pve", "vncticket": console_ticket, "path": f"/nodes/{NODE}"}
            | {"privs": "Sys.Audit"},
        ),
        ("POST /access/openid/auth-url", {}, {"realm": "corp", "redirect-url": "https://node1"}),
        ("POST /access/openid/login", {}, {"state": "s", "code": "c", "redirect-url": "https://node1"}),
        ("POST /access/groups", {}, {"groupid": "made"}),
        ("PUT /access/groups/{groupid}", {"groupid": "made"}, {"comment": "for a moment"}),
        ("POST /access/users", {}, {**_DAVE, "password": "a long secret", "groups": "made"}),
        ("PUT /access/users/{userid}", _DAVE, {"comment": "Dave", "enable": "1"}),
        (
            "PUT /access/password",
            {},
            {**_DAVE, "password": "another secret", "confirmation-password": password},
        ),
        ("POST /access/users/{userid}/token/{tokenid}", _TOKEN, {"comment": "for builds"}),
        ("PUT /access/users/{userid}/token/{tokenid}", _TOKEN, {"privsep": "0"}),
        ("DELETE /access/users/{userid}/token/{tokenid}", _TOKEN, {}),
        ("POST /access/tfa/{userid}", _DAVE, {"type": "recovery", **confirmed}),
        ("GET /access/tfa/{userid}/{id}", {**_DAVE, "id": "recovery"}, {}),
        ("PUT /access/tfa/{userid}/{id}", {**_DAVE, "id": "recovery"}, {"enable": "0", **confirmed}),
        ("DELETE /access/tfa/{userid}/{id}", {**_DAVE, "id": "recovery"}, confirmed),
        ("PUT /access/users/{userid}/unlock-tfa", _DAVE, {}),
        ("POST /access/roles", {}, {"roleid": "Made", "privs": "VM.Audit"}),
        ("PUT /access/roles/{roleid}", {"roleid": "Made"}, {"privs": "Sys.Audit"}),
        ("PUT /access/acl", {}, {"path": "/nodes", "roles": "Made", "users": "dave@pve"}),
        ("DELETE /access/roles/{roleid}", {"roleid": "Made"}, {}),
        ("DELETE /access/users/{userid}", _DAVE, {}),
        ("DELETE /access/groups/{groupid}", {"groupid": "made"}, {}),
        ("POST /access/domains", {}, {"realm": "made", "type": "ldap", **_LDAP}),
        ("PUT /access/domains/{realm}", {"realm": "made"}, {"comment": "a directory"}),
        ("DELETE /access/domains/{realm}", {"realm": "made"}, {}),
        ("POST /pools", {}, {"poolid": "made"}),
        ("PUT /pools", {}, {"poolid": "made", "comment": "new"}),
        ("PUT /pools/{poolid}", {"poolid": "made"}, {"storage": "local"}),
        ("PUT /pools/{poolid}", {"poolid": "made"}, {"storage": "local", "delete": "1"}),
        ("DELETE /pools/{poolid}", {"poolid": "made"}, {}),
        ("POST /pools", {}, {"poolid": "made"}),
        ("DELETE /pools", {}, {"poolid": "made"}),
        ("PUT /cluster/options", {}, {"keyboard": "en-us", "next-id": "lower=200,upper=300"}),
        ("PUT /nodes/{node}/config", {}, {"description": "a node"}),
        ("PUT /nodes/{node}/dns", {}, {"search": "example.org", "dns1": "10.99.0.3"}),
        ("PUT /nodes/{node}/time", {}, {"timezone": "Europe/Vienna"}),
        ("POST /nodes/{node}/hosts", {}, {"data": "127.0.0.1 localhost\n"}),
        ("POST /nodes/{node}/network", {}, {"iface": "vmbr7", "type": "bridge"}),
        ("PUT /nodes/{node}/network/{iface}", {"iface": "vmbr7"}, {"type": "bridge", "comments": "x"}),
        ("DELETE /nodes/{node}/network/{iface}", {"iface": "vmbr7"}, {}),
        ("DELETE /nodes/{node}/network", {}, {}),
        ("DELETE /nodes/{node}/tasks/{upid}", {"node": NODE, "upid": running}, {}),
    ]


_MACHINE: Final = "would change this machine; the lab's tests do it"
_SYSTEMD: Final = "needs systemd; the lab's tests do it"
_NETWORK: Final = "would change this machine; test_api_node_changes.py does it with a stand-in for ifreload"
_CONSOLE: Final = "starts a shell on this machine; the tests of consoles do it"
_REFUSED: Final = "always refused: not supported"
WITHOUT_SUCCESS: Final = {
    "POST /cluster/config": _MACHINE,
    "POST /cluster/config/join": _MACHINE,
    "POST /cluster/config/nodes/{node}": _MACHINE,
    "DELETE /cluster/config/nodes/{node}": _MACHINE,
    "GET /cluster/config/join": "needs a cluster, which this node is not in; the lab's tests do it",
    "POST /nodes/{node}/status": _MACHINE,
    "POST /nodes/{node}/startall": _MACHINE,
    "POST /nodes/{node}/stopall": _MACHINE,
    "PUT /nodes/{node}/network": _NETWORK,
    "POST /nodes/{node}/termproxy": _CONSOLE,
    "POST /nodes/{node}/vncshell": _REFUSED,
    "GET /nodes/{node}/vncwebsocket": _CONSOLE,
    "GET /nodes/{node}/services": _SYSTEMD,
    "GET /nodes/{node}/services/{service}/state": _SYSTEMD,
    "POST /nodes/{node}/services/{service}/start": _MACHINE,
    "POST /nodes/{node}/services/{service}/stop": _MACHINE,
    "POST /nodes/{node}/services/{service}/restart": _MACHINE,
    "POST /nodes/{node}/services/{service}/reload": _MACHINE,
    "POST /access/openid/auth-url": _REFUSED,
    "POST /access/openid/login": _REFUSED,
}
"""Operations that need not answer 200 here, and why."""
