"""What is broken in a lab's network, as data, and the switch's rules that follow from it. No I/O."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from lab.errors import LabError
from lab.record import node_number

TABLE = "quorate_lab"

Port = tuple[str, int]
"""A node's socket on one link's switch: (node, link)."""


@dataclass(slots=True)
class Faults:
    """All faults at once. The default is a healthy network.

    unplugged: cables pulled (both sides lose carrier). groups: per link, sets of nodes that cannot reach
    each other; a node in no set reaches all. one_way: (from, to, link) frames that vanish.
    loss: percent of the frames lost, either way. delay: (delay, jitter) in ms, added either way.
    """

    unplugged: set[Port] = field(default_factory=set)
    groups: dict[int, list[list[str]]] = field(default_factory=dict)
    one_way: set[tuple[str, str, int]] = field(default_factory=set)
    loss: dict[Port, int] = field(default_factory=dict)
    delay: dict[Port, tuple[float, float]] = field(default_factory=dict)

    def heal(self, nodes: Sequence[str], links: Sequence[int]) -> None:
        """Take away what concerns these nodes on these links; a split goes as a whole."""
        hit = {(node, link) for node in nodes for link in links}
        self.unplugged -= hit
        self.one_way = {
            (a, b, link) for a, b, link in self.one_way if (a, link) not in hit and (b, link) not in hit
        }
        for port in hit:
            self.loss.pop(port, None)
            self.delay.pop(port, None)
        for link in links:
            if any(node in group for group in self.groups.get(link, []) for node in nodes):
                del self.groups[link]

    def to_json(self) -> str:
        return json.dumps(
            {
                "unplugged": sorted(self.unplugged),
                "groups": sorted(self.groups.items()),
                "one_way": sorted(self.one_way),
                "loss": sorted(self.loss.items()),
                "delay": sorted(self.delay.items()),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Faults:
        data = json.loads(text)
        return cls(
            unplugged={(node, link) for node, link in data["unplugged"]},
            groups={link: [list(group) for group in groups] for link, groups in data["groups"]},
            one_way={(a, b, link) for a, b, link in data["one_way"]},
            loss={(node, link): percent for (node, link), percent in data["loss"]},
            delay={(node, link): (delay, jitter) for (node, link), (delay, jitter) in data["delay"]},
        )


def port_name(node: str, link: int) -> str:
    """The node's interface on the switch."""
    return f"p{node_number(node)}.{link}"


def tap_name(node: str, link: int) -> str:
    """What stands on the bridge in the port's place while a relay delays it."""
    return f"t{node_number(node)}.{link}"


def check_groups(groups: Sequence[Sequence[str]], nodes: Sequence[str]) -> None:
    """Raises LabError for unknown nodes and nodes that stand in two groups."""
    seen: set[str] = set()
    for group in groups:
        for node in group:
            if node not in nodes:
                raise LabError(f"Cannot split: there is no node {node!r} (there is: {', '.join(nodes)}).")
            if node in seen:
                raise LabError(f"Cannot split: {node} stands in two groups.")
            seen.add(node)


def ruleset(faults: Faults) -> str:
    """The switch's nft rules, the whole table each time: loading it is one atomic step."""
    rules: list[str] = []
    for link, groups in sorted(faults.groups.items()):
        for group in groups:
            others = [node for other in groups if other is not group for node in other]
            if group and others:
                rules.append(f"iifname {_set(group, link)} oifname {_set(others, link)} drop")
    for a, b, link in sorted(faults.one_way):
        rules.append(f"iifname {_set([a], link)} oifname {_set([b], link)} drop")
    for (node, link), percent in sorted(faults.loss.items()):
        for direction in ("iifname", "oifname"):
            rules.append(f"{direction} {_set([node], link)} numgen random mod 100 < {percent} drop")
    lines = [f"table bridge {TABLE} {{}}", f"delete table bridge {TABLE}", f"table bridge {TABLE} {{"]
    lines += ["  chain forward {", "    type filter hook forward priority 0; policy accept;"]
    lines += [f"    {rule}" for rule in rules]
    return "\n".join([*lines, "  }", "}", ""])


def _set(nodes: Sequence[str], link: int) -> str:
    both = [f'"{name(node, link)}"' for node in nodes for name in (port_name, tap_name)]
    return "{ " + ", ".join(both) + " }"
