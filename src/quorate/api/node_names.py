"""``/nodes/{node}``: time zone, name servers and hosts file, read and changed (pvecm 6.8)."""

from __future__ import annotations

import time
from typing import Final

from quorate.api.node_status import AUDIT
from quorate.api.nodes import NODE
from quorate.clusterlog import record
from quorate.host.clock import clock, set_time_zone, zone_problem
from quorate.host.files import changing, check_digest, digest_of, read_file, replace_file
from quorate.host.names import SERVERS, hosts_problem, parse_resolv_conf, set_resolv_conf
from quorate.schema import (
    VERIFICATION_FAILED,
    ApiError,
    Check,
    Context,
    Integer,
    Object,
    Operation,
    String,
)

RESOLV_CONF: Final = "/etc/resolv.conf"
HOSTS: Final = "/etc/hosts"
MODIFY: Final = Check("/nodes/{node}", ("Sys.Modify",))
MAX_HOSTS: Final = 64 * 1024
"""Characters; some two thousand hosts."""

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN: Final = rf"\.|(?:{_LABEL}\.)*{_LABEL}\.?"


def _time(ctx: Context, node: str) -> dict[str, object]:
    return clock(ctx.settings, time.time())


def _set_time(ctx: Context, node: str, timezone: str) -> None:
    if (problem := zone_problem(ctx.settings, timezone)) is not None:
        raise ApiError(400, VERIFICATION_FAILED, {"timezone": problem})
    with changing(ctx.settings):
        set_time_zone(ctx.settings, timezone)
    record(ctx.settings, f"set time zone of node '{ctx.node}' to '{timezone}'", user=ctx.user)


def _dns(ctx: Context, node: str) -> dict[str, str]:
    return parse_resolv_conf(read_file(ctx.settings.at(RESOLV_CONF)).decode("utf-8", "replace"))


def _set_dns(ctx: Context, node: str, search: str, **servers: str) -> None:
    wanted = [servers[name] for name in sorted(servers)]
    path = ctx.settings.at(RESOLV_CONF)
    with changing(ctx.settings):
        text = read_file(path).decode("utf-8", "surrogateescape")
        changed = set_resolv_conf(text, search, wanted)
        if changed != text:
            replace_file(path, changed.encode("utf-8", "surrogateescape"))
    names = ", ".join(wanted) or "none"
    record(ctx.settings, f"set name servers of node '{ctx.node}': {names}", user=ctx.user)


def _hosts(ctx: Context, node: str) -> dict[str, str]:
    content = read_file(ctx.settings.at(HOSTS))
    return {"data": content.decode("utf-8", "replace"), "digest": digest_of(content)}


def _set_hosts(ctx: Context, node: str, data: str, digest: str | None = None) -> None:
    if (problem := hosts_problem(data)) is not None:
        raise ApiError(400, VERIFICATION_FAILED, {"data": problem})
    path = ctx.settings.at(HOSTS)
    with changing(ctx.settings):
        check_digest(read_file(path), digest)
        text = data.replace("\r\n", "\n")
        replace_file(path, (text if text.endswith("\n") or not text else f"{text}\n").encode())
    record(ctx.settings, f"changed '{HOSTS}' of node '{ctx.node}'", user=ctx.user)


# -- declarations ---------------------------------------------------------------------------------------

_SERVERS: Final = {
    f"dns{number}": String(description="A name server.", format="ip", optional=True)
    for number in range(1, SERVERS + 1)
}

OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/nodes/{node}/time",
        name="time",
        description="Time and time zone of the node.",
        handler=_time,
        parameters={"node": NODE},
        returns=Object(
            properties={
                "timezone": String(description="Name of the zone."),
                "time": Integer(description="Epoch seconds.", unit="epoch"),
                "localtime": Integer(description="The same plus the zone's distance from UTC."),
            }
        ),
        permission=AUDIT,
        proxyto_node=True,
    ),
    Operation(
        method="PUT",
        path="/nodes/{node}/time",
        name="set_timezone",
        description="Set the node's time zone. Programs that run keep the old one until they are restarted.",
        handler=_set_time,
        parameters={
            "node": NODE,
            "timezone": String(
                description="Name of the zone, as below /usr/share/zoneinfo, e.g. Europe/Vienna.",
                max_length=130,
            ),
        },
        permission=MODIFY,
        protected=True,
        proxyto_node=True,
    ),
    Operation(
        method="GET",
        path="/nodes/{node}/dns",
        name="dns",
        description="Name servers of the node.",
        handler=_dns,
        parameters={"node": NODE},
        returns=Object(
            properties={
                "search": String(description="Domain for short names.", optional=True),
                **{name: String(description="A name server.", optional=True) for name in _SERVERS},
            }
        ),
        permission=AUDIT,
        proxyto_node=True,
    ),
    Operation(
        method="PUT",
        path="/nodes/{node}/dns",
        name="update_dns",
        description="Set the node's search domain and name servers; those that are not named are removed."
        " Other lines of /etc/resolv.conf stay. Refused where the file is a link that another program keeps.",
        handler=_set_dns,
        parameters={
            "node": NODE,
            "search": String(description="Domain for short names.", pattern=_DOMAIN, max_length=255),
            **_SERVERS,
        },
        permission=MODIFY,
        protected=True,
        proxyto_node=True,
    ),
    Operation(
        method="GET",
        path="/nodes/{node}/hosts",
        name="get_etc_hosts",
        description="The node's /etc/hosts.",
        handler=_hosts,
        parameters={"node": NODE},
        returns=Object(
            properties={
                "data": String(description="The file."),
                "digest": String(description="SHA-1 over it, to notice changes."),
            }
        ),
        permission=AUDIT,
        proxyto_node=True,
    ),
    Operation(
        method="POST",
        path="/nodes/{node}/hosts",
        name="write_etc_hosts",
        description="Replace the node's /etc/hosts.",
        handler=_set_hosts,
        parameters={
            "node": NODE,
            "data": String(
                description="The file: lines of an address and names; # begins a comment.",
                max_length=MAX_HOSTS,
            ),
            "digest": String(
                description="As read: refuse if somebody changed the file meanwhile.",
                pattern="[0-9A-Fa-f]{40}",
                optional=True,
            ),
        },
        permission=MODIFY,
        protected=True,
        proxyto_node=True,
    ),
]
