"""``pvecm status``, ``nodes``, ``expected``: Corosync's quorum tool with our heading (pvecm 1.9-1.11)."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from quorate.cli.commandtree import CommandFailed, run_program
from quorate.corosync.conf import ConfError, CorosyncConf, node_links, parse, text_of
from quorate.settings import Settings

TOOL: Final = "corosync-quorumtool"
NOT_IN_CLUSTER_STATUS: Final = 2
TOOL_SECONDS: Final = 30.0
"""It answers at once; with a Corosync that hangs it would never end."""


def quorumtool(settings: Settings, arguments: Sequence[str]) -> int:
    """Run the quorum tool, if this node is in a cluster; its exit status."""
    _require_cluster(settings)
    return run_program([TOOL, *arguments], TOOL_SECONDS)


def status(settings: Settings, output_format: str) -> int:
    """Print the status; the exit status is the quorum tool's: 0 quorate, 2 not, 1 error."""
    _require_cluster(settings)
    conf = _read(settings)
    if output_format != "text":
        return _structured(conf, output_format)
    if conf.totem:
        print("\n".join(heading(conf)))
    return run_program([TOOL, "-siH"], TOOL_SECONDS)


def heading(conf: CorosyncConf) -> list[str]:
    """The lines before those of the quorum tool."""
    facts = _facts(conf)
    return [
        "Cluster information",
        "-------------------",
        f"{'Name:':<17} {facts['name']}",
        f"{'Config Version:':<17} {facts['config_version']}",
        f"{'Transport:':<17} {facts['transport']}",
        f"{'Secure auth:':<17} {facts['secauth']}",
        "",
    ]


def parse_quorumtool(text: str, conf: CorosyncConf) -> dict[str, Any]:
    """The tool's output as data; names and links of the members come from the configuration."""
    facts: dict[str, str] = {}
    members: list[dict[str, Any]] = []
    qdevice: dict[str, Any] | None = None
    names = {text_of(node, "nodeid"): (name, node_links(node)) for name, node in conf.nodes.items()}
    for line in text.splitlines():
        row = re.match(r"\s*0x([0-9a-f]{8})\s+(\d+)\s+(.*)$", line)
        if row:
            nodeid, votes, rest = int(row[1], 16), int(row[2]), row[3].split()
            if nodeid == 0:
                qdevice = {"votes": votes, "name": rest[0] if rest else ""}
                continue
            local = rest[-1] == "(local)"
            flags = rest[0] if len(rest) - local > 1 else None
            name, links = names.get(str(nodeid), (None, {}))
            members.append(
                {
                    "nodeid": nodeid,
                    "name": name,
                    "votes": votes,
                    "address": rest[-2 if local else -1],
                    "local": local,
                    "links": {str(number): address for number, address in links.items()},
                    **({"qdevice": flags.split(",")} if flags else {}),
                }
            )
            continue
        fact = re.match(r"([A-Z][A-Za-z ]*):\s*(.*?)\s*$", line)
        if fact:
            facts[fact[1]] = fact[2]
    online = {member["nodeid"] for member in members}
    return {
        "cluster": _facts(conf),
        "quorum": {
            "date": facts.get("Date"),
            "provider": facts.get("Quorum provider"),
            "nodes": _number(facts.get("Nodes")),
            "node_id": _number(facts.get("Node ID"), 16),
            "ring_id": facts.get("Ring ID"),
            "quorate": facts.get("Quorate") == "Yes",
        },
        "votequorum": {
            "expected_votes": _number(facts.get("Expected votes")),
            "highest_expected": _number(facts.get("Highest expected")),
            "total_votes": _number(facts.get("Total votes")),
            "quorum": _number((facts.get("Quorum") or "").partition(" ")[0]),
            "flags": (facts.get("Flags") or "").split(),
        },
        "members": members,
        "offline": sorted(name for nodeid, (name, _) in names.items() if _number(nodeid) not in online),
        **({"qdevice": qdevice} if qdevice else {}),
    }


def _structured(conf: CorosyncConf, output_format: str) -> int:
    from quorate.cluster.commands import CommandError, run_command

    try:
        result = run_command([TOOL, "-siH"], timeout=TOOL_SECONDS, check=False)
    except CommandError as e:
        raise CommandFailed(str(e), 1) from e
    if result.status not in (0, NOT_IN_CLUSTER_STATUS):
        raise CommandFailed(result.stderr.strip() or f"{TOOL} failed", result.status)
    data = parse_quorumtool(result.stdout, conf)
    if output_format == "json":
        print(json.dumps(data, indent=2))
    else:
        import yaml

        print(yaml.safe_dump(data, sort_keys=False), end="")
    return result.status


def _facts(conf: CorosyncConf) -> dict[str, Any]:
    version = conf.config_version
    return {
        "name": conf.cluster_name or "UNKOWN?",
        "config_version": -1 if version is None else version,
        "transport": text_of(conf.totem, "transport") or "knet",
        "secauth": text_of(conf.totem, "secauth") or "off",
    }


def _number(text: str | None, base: int = 10) -> int | None:
    try:
        return int(text or "", base)
    except ValueError:
        return None


def _read(settings: Settings) -> CorosyncConf:
    try:
        return parse(settings.cluster_conf.read_bytes())
    except (ConfError, OSError) as e:
        print(f"unable to read '{settings.cluster_conf}' - {e}", file=sys.stderr)
        return CorosyncConf()


def _require_cluster(settings: Settings) -> None:
    if not settings.cluster_conf.exists():
        _not_in_cluster(settings)


def _not_in_cluster(settings: Settings) -> NoReturn:
    raise CommandFailed(
        f"Error: Corosync config '{settings.cluster_conf}' does not exist - is this node part of a cluster?",
        NOT_IN_CLUSTER_STATUS,
    )
