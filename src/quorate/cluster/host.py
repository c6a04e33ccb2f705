"""What the functions of this room need of the node they run on, handed in as one object.

Settings, name, output, commands, name lookup and clock: tests replace each of them.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
from dataclasses import dataclass, field

from quorate.cfs import Cfs, CfsError, Clock
from quorate.cluster.commands import Runner, run_command
from quorate.corosync.conf_verify import Lookup
from quorate.settings import Settings


class ClusterError(Exception):
    """A cluster operation was refused or failed; the text says what was tried, why, and what to do."""


class Output:
    """Progress: plain lines on standard output, warnings on standard error (both end in a task's log)."""

    def line(self, text: str = "") -> None:
        print(text, flush=True)

    def part(self, text: str) -> None:
        """Text that the next output continues on the same line."""
        print(text, end="", flush=True)

    def error(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def warning(self, text: str) -> None:
        """A warning that a task counts."""
        from quorate.tasks import warn

        warn(text)


class AddressError(ClusterError):
    """The node's own address could not be found."""


def system_lookup(name: str) -> list[str]:
    """Addresses of a host name in the resolver's order; raises OSError."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except ValueError as e:  # an empty or overlong label, a NUL
        raise OSError(errno.EINVAL, f"'{name}' is not a host name") from e
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


def node_name() -> str:
    """This node's name: the kernel's host name up to the first dot."""
    return os.uname().nodename.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One node, as seen from itself."""

    settings: Settings = field(default_factory=Settings)
    node: str = field(default_factory=node_name)
    run: Runner = run_command
    out: Output = field(default_factory=Output)
    lookup: Lookup = system_lookup
    clock: Clock = field(default_factory=Clock)

    @property
    def cfs(self) -> Cfs:
        return Cfs(self.settings, self.clock)

    def local_ip(self) -> str:
        """This node's address (pvecm 2.7): from the member list, else by its name; raises AddressError."""
        return self.node_ip(self.node)

    def node_ip(self, node: str) -> str:
        """The address of a node of the cluster, found in the same way."""
        try:
            member = self.cfs.members().nodes.get(node)
        except CfsError:
            member = None
        if member is not None and member.ip is not None:
            return member.ip
        try:
            addresses = self.lookup(node)
        except OSError as e:
            raise AddressError(f"hostname lookup '{node}' failed - {e.strerror or e}") from e
        for address in addresses:
            if not address.startswith("127.") and address != "::1":
                return address
        raise AddressError(f"address lookup for '{node}' did not find any IP address")

    def has_address(self, ip: str) -> bool:
        """Whether an interface of this node that is up carries ``ip``."""
        prefix = 128 if ipaddress.ip_address(ip).version == 6 else 32
        result = self.run(["ip", "address", "show", "to", f"{ip}/{prefix}", "up"], check=False)
        return result.status == 0 and bool(result.stdout.strip())
