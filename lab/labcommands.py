"""What a person does with a running lab: enter, look, break, heal, end. Thin over lab.Lab."""

from __future__ import annotations

import argparse
import sys

from lab import record as records
from lab.errors import LabError
from lab.host import require_host
from lab.laboratory import Lab, end_stale_labs
from lab.node import Node
from lab.progress import Step

DEMO = "demo"
SERVICES = ("pve-cluster", "corosync", "pvedaemon", "pveproxy")
POWER = {
    "on": ("power_on", "switch nodes on"),
    "off": ("power_off", "shut nodes down in good order"),
    "kill": ("power_cut", "pull the plug of nodes"),
    "reboot": ("reboot", "restart nodes in good order"),
    "freeze": ("freeze", "stop nodes between two instructions"),
    "thaw": ("thaw", "let frozen nodes go on"),
}
"""Command: (method of Node, help)."""


def shell(arguments: argparse.Namespace) -> int:
    node = _node(arguments)
    if arguments.command:
        return node.shell(arguments.command)
    return node.shell()


def logs(arguments: argparse.Namespace) -> int:
    node = _node(arguments)
    units = [] if arguments.all else arguments.unit or SERVICES
    options = [word for unit in units for word in ("-u", unit)]
    if node.is_on:
        return node.shell(["journalctl", "--no-pager", "-q", *options, *(["-f"] if arguments.follow else [])])
    if arguments.follow:
        raise LabError(f"{node.name} is off: there is nothing to follow. Without -f its old log is shown.")
    sys.stdout.write(node.journal(None, *options))
    return 0


def down(arguments: argparse.Namespace) -> int:
    require_host()
    ended = end_stale_labs()
    for name in records.names() if arguments.all else [arguments.lab]:
        if name in records.names():
            with Step(f"Ending the lab {name}"):
                Lab.open(name).destroy()
            ended.append(name)
    print(f"Ended: {', '.join(sorted(ended))}." if ended else "There was no lab to end.")
    return 0


def up(arguments: argparse.Namespace) -> int:
    lab = Lab(arguments.lab, nodes=arguments.nodes, links=arguments.links, keep=True)
    with Step(f"Booting {arguments.nodes} nodes"):
        lab.start()
    print(f"The lab {lab.name} is up. Enter a node: ./dev shell --lab {lab.name} n1")
    return 0


def show_list(_: argparse.Namespace) -> int:
    if not records.names():
        print("There is no lab.")
    for name in records.names():
        lab = Lab.open(name)
        stale = "  (left behind; ./dev down takes it away)" if lab.record.is_stale() else ""
        print(f"{name}: {lab.record.links} links{stale}")
        for node in lab.nodes:
            print(f"  {node.name}  {'on ' if node.is_on else 'off'}  {node.address()}")
    return 0


def power(arguments: argparse.Namespace) -> int:
    lab = Lab.open(arguments.lab)
    for name in arguments.node:
        getattr(lab.node(name), arguments.method)()
    return 0


def cut(arguments: argparse.Namespace) -> int:
    Lab.open(arguments.lab).cut(arguments.node, arguments.link)
    return 0


def split(arguments: argparse.Namespace) -> int:
    Lab.open(arguments.lab).split(arguments.groups, arguments.link)
    return 0


def one_way(arguments: argparse.Namespace) -> int:
    Lab.open(arguments.lab).cut_one_way(arguments.source, arguments.destination, arguments.link)
    return 0


def drop(arguments: argparse.Namespace) -> int:
    Lab.open(arguments.lab).drop(arguments.node, arguments.percent, arguments.link)
    return 0


def delay(arguments: argparse.Namespace) -> int:
    Lab.open(arguments.lab).delay(arguments.node, arguments.milliseconds, arguments.jitter, arguments.link)
    return 0


def heal(arguments: argparse.Namespace) -> int:
    Lab.open(arguments.lab).heal(arguments.node, arguments.link)
    return 0


def _node(arguments: argparse.Namespace) -> Node:
    require_host()
    return Lab.open(arguments.lab).node(arguments.node)
