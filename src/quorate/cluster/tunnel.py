"""``pvecm mtunnel``: the far end of migrations, spoken to over ssh; its output is a protocol (pvecm 1.15)."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from quorate.cluster.host import ClusterError, Host, Output
from quorate.schema import PropertyString, PropertyStringError, String

MAX_CONFIG = 1024 * 1024
_MIGRATION = PropertyString(
    default_key="type",
    keys={
        "type": String(enum=("secure", "insecure")),
        "network": String(format="CIDR", optional=True),
    },
)


def run(
    host: Host,
    out: Output,
    *,
    network: str | None,
    get_migration_ip: bool,
    run_command: bool,
    command: Sequence[str],
) -> int:
    """Serve one caller; the exit status. Raises ClusterError."""
    if not host.cfs.quorate():
        out.line("no quorum")
        return 0
    network = network or configured_network(host)
    if get_migration_ip:
        if run_command:
            raise ClusterError("cannot use --run-command with --get_migration_ip")
        ip = migration_ip(host, network) if network else None
        out.line(f"ip: '{ip}'" if ip else "no ip")
        return 0
    if run_command:
        if not command:
            raise ClusterError("missing command")
        raise ClusterError(
            "unable to run a command behind a socket: 'mtunnel --run-command' is not there yet,"
            " use the secure migration type"
        )
    out.line("tunnel online")
    for line in sys.stdin:
        if line.rstrip("\r\n") == "quit":
            break
    return 0


def migration_ip(host: Host, network: str) -> str:
    """The one local address inside ``network`` on an interface that is up; raises ClusterError."""
    result = host.run(["ip", "-json", "address", "show", "to", network, "up"])
    try:
        found = json.loads(result.stdout or "[]")
        addresses = {info["local"] for link in found for info in link.get("addr_info", ()) if "local" in info}
    except (ValueError, TypeError, KeyError, AttributeError) as e:
        raise ClusterError(f"could not get migration ip: unexpected answer of 'ip': {e}") from e
    if not addresses:
        text = f"no IP address configured on local node for network '{network}'"
        raise ClusterError(f"could not get migration ip: {text}")
    if len(addresses) > 1:
        text = f"multiple, different, IP address configured for network '{network}'"
        raise ClusterError(f"could not get migration ip: {text}")
    return str(addresses.pop())


def configured_network(host: Host) -> str | None:
    """The migration network of datacenter.cfg; None without one, or where the line is not valid."""
    try:
        text = host.cfs.read("datacenter.cfg").decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and key.strip() == "migration":
            try:
                network = _MIGRATION.parse(value.strip()).get("network")
            except PropertyStringError as e:
                host.out.error(f"parse error in 'datacenter.cfg' - 'migration': {e}")
                return None
            return str(network) if network else None
    return None
