"""The external vote: whether one is configured, and the state of the local QDevice daemon (pvecm 5.5)."""

from __future__ import annotations

import re
import socket
import stat
from pathlib import Path
from typing import Final

from quorate.cluster import conffile
from quorate.cluster.host import ClusterError, Host
from quorate.corosync.conf import Section, text_of

SOCKET_SECONDS: Final = 10.0
MAX_ANSWER: Final = 64 * 1024
STATUS_KEYS: Final = frozenset(
    {
        "Algorithm",
        "Echo reply",
        "Last poll call",
        "Model",
        "QNetd host",
        "State",
        "Tie-breaker",
    }
)


def daemon_status(host: Host) -> dict[str, str]:
    """What the daemon says about itself; empty where none runs. Raises ClusterError."""
    path = _socket(host)
    if path is None:
        return {}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(SOCKET_SECONDS)
            connection.connect(str(path))
            connection.sendall(b"status verbose\n")
            answer = bytearray()
            while len(answer) < MAX_ANSWER and (data := connection.recv(4096)):
                answer += data
    except OSError as e:
        raise ClusterError(f"unable to ask the QDevice daemon at '{path}' - {e.strerror or e}") from e
    return parse_status(answer.decode("utf-8", "replace"))


def configured(host: Host) -> dict[str, object] | None:
    """The QDevice of corosync.conf: ``model``, ``host``, ``algorithm``, ``votes``; None without one.

    Whether its daemon runs or not, which `daemon_status` tells. Raises ClusterError.
    """
    device = conffile.read(host).quorum.get("device")
    if not isinstance(device, dict):
        return None
    model = text_of(device, "model") or ""
    net = device.get(model)
    section: Section = net if isinstance(net, dict) else {}
    found: dict[str, object] = {"model": model}
    for key in ("host", "algorithm"):
        if (text := text_of(section, key)) is not None:
            found[key] = text
    votes = text_of(device, "votes")
    if votes is not None and votes.isdecimal():
        found["votes"] = int(votes)
    return found


def _socket(host: Host) -> Path | None:
    path = host.settings.at("/var/run/corosync-qdevice/corosync-qdevice.sock")
    try:
        return path if stat.S_ISSOCK(path.stat().st_mode) else None
    except OSError:
        return None


def parse_status(text: str) -> dict[str, str]:
    """The known keys of the daemon's answer."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"(\S.*?)\s*:\s*(.*)$", line)
        if match and match[1] in STATUS_KEYS:
            found[match[1]] = match[2]
    return found
