"""Who may call each operation, written by hand from the specification (pvecm 6.5 to 6.9), not from the code.

`test_permission_walk` walks all operations as every kind of caller and compares. A new operation fails there
until it has a line here: add one to `EXPECTED`, and to `SAMPLES` a value for each new mandatory parameter.
What a handler leaves out of its answer is tested in the room of the handler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Expected:
    """Who passes. ``needs``: alternatives, each (path, privilege), several joined by ``&`` for all of them.

    ``own``: passes for what belongs to the caller himself; ``tokens``: whether API tokens may call it;
    ``not_on_root``: refused to all but root@pam when it is about root@pam.
    """

    kind: str
    needs: tuple[tuple[tuple[str, str], ...], ...] = ()
    own: bool = False
    tokens: bool = True
    not_on_root: bool = False


WORLD = Expected("world")
"""Without a login."""
LOGGED_IN = Expected("logged in")
"""Everybody who is logged in; what is shown may depend on more."""
ROOT = Expected("root")
"""root@pam alone, not its API tokens."""


def needs(
    path: str, *alternatives: str, own: bool = False, tokens: bool = True, not_on_root: bool = False
) -> Expected:
    """``needs("/", "Sys.Audit")``; ``needs("", "/a:Priv.A & /b:Priv.B")`` when paths differ."""
    parsed = []
    for alternative in alternatives:
        parts = [part.strip() for part in alternative.split("&")]
        pairs = (part.split(":", 1) if ":" in part else (path, part) for part in parts)
        parsed.append(tuple((where, privilege) for where, privilege in pairs))
    return Expected("needs", tuple(parsed), own, tokens, not_on_root)


AUDIT = needs("/", "Sys.Audit")
READ_USER = needs("/access/groups", "User.Modify", "Sys.Audit", own=True)
READ_TOKENS = needs("/access/groups", "User.Modify", own=True)
OWN_OR_USER_MODIFY = needs("/access/groups", "User.Modify", own=True, not_on_root=True)
OWN_OR_USER_MODIFY_NO_TOKEN = needs("/access/groups", "User.Modify", own=True, tokens=False, not_on_root=True)
USER_MODIFY = needs("/access/groups", "User.Modify", not_on_root=True)
MANAGE_USER = needs("", "/access/realm/pve:Realm.AllocateUser & /access/groups:User.Modify", not_on_root=True)
REALM = needs("/access/realm", "Realm.Allocate")
GROUP = needs("/access/groups", "Group.Allocate")
ROLE = needs("/access", "Sys.Modify")
POOL = needs("/pool/web", "Pool.Allocate")
NODE_AUDIT = needs("/nodes/n1", "Sys.Audit")
NODE_CONSOLE = needs("/nodes/n1", "Sys.Console")
NODE_SYSLOG = needs("/nodes/n1", "Sys.Syslog")
NODE_MODIFY = needs("/nodes/n1", "Sys.Modify")

SAMPLES: Final[dict[str, str]] = {
    "authid": "other@pve",
    "clustername": "lab",
    "command": "reboot",
    "data": "127.0.0.1 localhost",
    "ds": "cpu",
    "fingerprint": ":".join(["AB"] * 32),
    "groupid": "ops",
    "hostname": "10.0.0.1",
    "id": "recovery",
    "iface": "vmbr0",
    "node": "n1",
    "password": "long enough",
    "path": "/vms/100",
    "port": "5900",
    "poolid": "web",
    "privs": "VM.Audit",
    "realm": "corp",
    "roleid": "helper",
    "roles": "PVEAuditor",
    "search": "example.org",
    "service": "corosync",
    "storage": "local",
    "timeframe": "hour",
    "timezone": "Europe/Vienna",
    "tokenid": "automation",
    "type": "recovery",
    "upid": "UPID:n1:000004D2:0000162E:6B02ED03:clusterjoin::other@pve:",
    "userid": "other@pve",
    "username": "other@pve",
    "vmid": "100",
    "vncticket": "PVEVNC:00000000::AAAA",
}
"""A value for every mandatory parameter, by its name."""

SAMPLES_OF: Final[dict[str, dict[str, str]]] = {
    "POST /access/domains": {"type": "ldap"},
    "POST /nodes/{node}/network": {"type": "bridge"},
    "PUT /nodes/{node}/network/{iface}": {"type": "bridge"},
}
"""Where the name alone does not say what fits."""

EXPECTED: Final[dict[str, Expected]] = {
    # 6.6
    "GET /": LOGGED_IN,
    "GET /version": LOGGED_IN,
    "GET /cluster": LOGGED_IN,
    "GET /cluster/log": LOGGED_IN,
    "GET /cluster/nextid": LOGGED_IN,
    "GET /cluster/options": LOGGED_IN,
    "PUT /cluster/options": needs("/", "Sys.Modify"),
    "GET /cluster/resources": LOGGED_IN,
    "GET /cluster/status": AUDIT,
    "GET /cluster/tasks": LOGGED_IN,
    "GET /cluster/quorum": AUDIT,
    # 6.5
    "GET /cluster/config": AUDIT,
    "POST /cluster/config": ROOT,
    "GET /cluster/config/apiversion": AUDIT,
    "GET /cluster/config/join": AUDIT,
    "POST /cluster/config/join": ROOT,
    "GET /cluster/config/nodes": AUDIT,
    "POST /cluster/config/nodes/{node}": ROOT,
    "DELETE /cluster/config/nodes/{node}": ROOT,
    "GET /cluster/config/qdevice": AUDIT,
    "GET /cluster/config/totem": AUDIT,
    # 6.7, 7: logging in
    "GET /access": LOGGED_IN,
    "GET /access/ticket": WORLD,
    "POST /access/ticket": WORLD,
    "POST /access/vncticket": WORLD,
    "POST /access/openid/auth-url": WORLD,
    "POST /access/openid/login": WORLD,
    "PUT /access/password": needs(
        "",
        "/access/realm/pve:Realm.AllocateUser & /access/groups:User.Modify",
        own=True,
        tokens=False,
        not_on_root=True,
    ),
    "GET /access/permissions": LOGGED_IN,  # one's own; of others: see the walk
    # Realms
    "GET /access/consent": WORLD,
    "GET /access/domains": WORLD,
    "POST /access/domains": REALM,
    "GET /access/domains/{realm}": needs("/access/realm", "Realm.Allocate", "Sys.Audit"),
    "PUT /access/domains/{realm}": REALM,
    "DELETE /access/domains/{realm}": REALM,
    # Users and API tokens
    "GET /access/users": LOGGED_IN,
    "POST /access/users": MANAGE_USER,
    "GET /access/users/{userid}": READ_USER,
    "PUT /access/users/{userid}": USER_MODIFY,
    "DELETE /access/users/{userid}": MANAGE_USER,
    "GET /access/users/{userid}/tfa": READ_USER,
    "PUT /access/users/{userid}/unlock-tfa": USER_MODIFY,
    "GET /access/users/{userid}/token": READ_TOKENS,
    "GET /access/users/{userid}/token/{tokenid}": READ_TOKENS,
    "POST /access/users/{userid}/token/{tokenid}": OWN_OR_USER_MODIFY,
    "PUT /access/users/{userid}/token/{tokenid}": OWN_OR_USER_MODIFY,
    "DELETE /access/users/{userid}/token/{tokenid}": OWN_OR_USER_MODIFY,
    # Second factors
    "GET /access/tfa": LOGGED_IN,
    "GET /access/tfa/{userid}": READ_USER,
    "POST /access/tfa/{userid}": OWN_OR_USER_MODIFY_NO_TOKEN,
    "GET /access/tfa/{userid}/{id}": READ_USER,
    "PUT /access/tfa/{userid}/{id}": OWN_OR_USER_MODIFY_NO_TOKEN,
    "DELETE /access/tfa/{userid}/{id}": OWN_OR_USER_MODIFY_NO_TOKEN,
    # Groups, roles, rules, pools
    "GET /access/groups": LOGGED_IN,
    "POST /access/groups": GROUP,
    "GET /access/groups/{groupid}": needs("/access/groups", "Group.Allocate", "Sys.Audit"),
    "PUT /access/groups/{groupid}": GROUP,
    "DELETE /access/groups/{groupid}": GROUP,
    "GET /access/roles": LOGGED_IN,
    "POST /access/roles": ROLE,
    "GET /access/roles/{roleid}": LOGGED_IN,
    "PUT /access/roles/{roleid}": ROLE,
    "DELETE /access/roles/{roleid}": ROLE,
    "GET /access/acl": LOGGED_IN,
    "PUT /access/acl": needs("/vms/100", "Permissions.Modify"),
    "GET /pools": LOGGED_IN,
    "POST /pools": POOL,
    "PUT /pools": POOL,
    "DELETE /pools": POOL,
    "GET /pools/{poolid}": needs("/pool/web", "Pool.Audit"),
    "PUT /pools/{poolid}": POOL,
    "DELETE /pools/{poolid}": POOL,
    # 6.8, 6.9
    "GET /nodes": LOGGED_IN,
    "GET /nodes/{node}": LOGGED_IN,
    "GET /nodes/{node}/version": LOGGED_IN,
    "POST /nodes/{node}/termproxy": NODE_CONSOLE,  # another 'cmd' than a login: see the walk
    "POST /nodes/{node}/vncshell": NODE_CONSOLE,
    "GET /nodes/{node}/vncwebsocket": NODE_CONSOLE,  # the handler: the console's own ticket
    "GET /nodes/{node}/certificates": LOGGED_IN,
    "GET /nodes/{node}/certificates/info": LOGGED_IN,
    "GET /nodes/{node}/config": AUDIT,
    "PUT /nodes/{node}/config": needs("/", "Sys.Modify"),
    "GET /nodes/{node}/corosync": LOGGED_IN,
    "GET /nodes/{node}/corosync/links": NODE_AUDIT,
    "GET /nodes/{node}/corosync/qdevice": NODE_AUDIT,
    "GET /nodes/{node}/dns": NODE_AUDIT,
    "PUT /nodes/{node}/dns": NODE_MODIFY,
    "GET /nodes/{node}/hosts": NODE_AUDIT,
    "POST /nodes/{node}/hosts": NODE_MODIFY,
    "GET /nodes/{node}/metrics": AUDIT,
    "GET /nodes/{node}/journal": NODE_SYSLOG,
    "GET /nodes/{node}/network": LOGGED_IN,  # the handler: bridges
    "POST /nodes/{node}/network": NODE_MODIFY,
    "PUT /nodes/{node}/network": NODE_MODIFY,
    "DELETE /nodes/{node}/network": NODE_MODIFY,
    "GET /nodes/{node}/network/{iface}": NODE_AUDIT,
    "PUT /nodes/{node}/network/{iface}": NODE_MODIFY,
    "DELETE /nodes/{node}/network/{iface}": NODE_MODIFY,
    "GET /nodes/{node}/report": NODE_AUDIT,
    "GET /nodes/{node}/rrd": NODE_AUDIT,
    "GET /nodes/{node}/rrddata": NODE_AUDIT,
    "GET /nodes/{node}/qemu/{vmid}/rrd": needs("/vms/100", "VM.Audit"),
    "GET /nodes/{node}/qemu/{vmid}/rrddata": needs("/vms/100", "VM.Audit"),
    "GET /nodes/{node}/lxc/{vmid}/rrd": needs("/vms/100", "VM.Audit"),
    "GET /nodes/{node}/lxc/{vmid}/rrddata": needs("/vms/100", "VM.Audit"),
    "GET /nodes/{node}/storage/{storage}/rrd": needs(
        "/storage/local", "Datastore.Audit", "Datastore.AllocateSpace"
    ),
    "GET /nodes/{node}/storage/{storage}/rrddata": needs(
        "/storage/local", "Datastore.Audit", "Datastore.AllocateSpace"
    ),
    "POST /nodes/{node}/startall": needs("/", "VM.PowerMgmt"),  # or on each guest that is named
    "POST /nodes/{node}/stopall": needs("/", "VM.PowerMgmt"),
    "GET /nodes/{node}/services": NODE_AUDIT,
    "GET /nodes/{node}/services/{service}": NODE_AUDIT,
    "GET /nodes/{node}/services/{service}/state": NODE_AUDIT,
    "POST /nodes/{node}/services/{service}/reload": NODE_MODIFY,
    "POST /nodes/{node}/services/{service}/restart": NODE_MODIFY,
    "POST /nodes/{node}/services/{service}/start": NODE_MODIFY,
    "POST /nodes/{node}/services/{service}/stop": NODE_MODIFY,
    "GET /nodes/{node}/status": NODE_AUDIT,
    "POST /nodes/{node}/status": needs("/nodes/n1", "Sys.PowerMgmt"),
    "GET /nodes/{node}/syslog": NODE_SYSLOG,
    "GET /nodes/{node}/time": NODE_AUDIT,
    "PUT /nodes/{node}/time": NODE_MODIFY,
    "GET /nodes/{node}/tasks": LOGGED_IN,
    "GET /nodes/{node}/tasks/{upid}": LOGGED_IN,
    "GET /nodes/{node}/tasks/{upid}/log": LOGGED_IN,  # the handler: its user, or Sys.Audit
    "GET /nodes/{node}/tasks/{upid}/status": LOGGED_IN,
    "DELETE /nodes/{node}/tasks/{upid}": LOGGED_IN,  # the handler: its user, or Sys.Modify
}
