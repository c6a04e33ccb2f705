"""The node's services as systemd shows them (pvecm 6.8). Commands and their texts; nothing is run here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SERVICES: Final = (
    *("chrony", "corosync", "cron", "ksmtuned", "lxcfs", "postfix", "proxmox-firewall", "pve-cluster"),
    *("pve-firewall", "pve-ha-crm", "pve-ha-lrm", "pve-lxc-syscalld", "pvedaemon", "pvefw-logger"),
    *("pveproxy", "pvescheduler", "pvestatd", "qmeventd", "spiceproxy", "sshd", "syslog"),
    *("systemd-journald", "systemd-timesyncd"),
)
ESSENTIAL: Final = frozenset({"pveproxy", "pvedaemon", "pve-cluster"})
"""Without these nobody could start them again from afar."""
COMMANDS: Final = ("start", "stop", "restart", "reload")

_UNITS: Final = {"sshd": "ssh", "syslog": "rsyslog"}
"""Services whose unit has another name on Debian."""
_PROPERTIES: Final = ("Id", "Names", "Description", "LoadState", "ActiveState", "SubState", "UnitFileState")

Service = dict[str, str]


def unit_of(service: str) -> str:
    return f"{_UNITS.get(service, service)}.service"


def show_command(services: Sequence[str] = SERVICES) -> list[str]:
    """Asks for all at once; systemd answers in the same order, a blank line between two."""
    return ["systemctl", "show", f"--property={','.join(_PROPERTIES)}", *map(unit_of, services)]


def parse_show(text: str, services: Sequence[str] = SERVICES) -> list[Service]:
    """The services that exist on this node: those whose unit has a description of its own."""
    blocks = [block for block in text.split("\n\n") if block.strip()]
    result = []
    for service, block in zip(services, blocks, strict=False):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        description = values.get("Description", "")
        if values.get("LoadState") == "not-found" or not description or description == unit_of(service):
            continue
        result.append(
            {
                "service": service,
                "name": unit_of(service).removesuffix(".service"),
                "desc": description,
                "state": values.get("SubState", "unknown"),
                "active-state": values.get("ActiveState", "unknown"),
                "unit-state": values.get("UnitFileState") or values.get("LoadState", "unknown"),
            }
        )
    return result


def refusal(service: str, command: str) -> str | None:
    """Why a service is not to be treated so."""
    if command == "stop" and service in ESSENTIAL:
        return f"invalid service cmd '{service} {command}': refusing to stop essential service!"
    return None
