"""What a person does with a running lab: enter, look, break, heal, end. Thin over lab.Lab."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

from lab import record as records
from lab.base import ROOT_PASSWORD
from lab.errors import LabError
from lab.host import require_host
from lab.laboratory import Lab, end_stale_labs
from lab.node import Node
from lab.progress import Step

DEMO = "demo"
API_PORT = 8006
LOOPBACK = "127.0.0.1"
"""The password of the nodes is known: nobody but this machine's users may reach them."""
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


def web(arguments: argparse.Namespace) -> int:
    node = _node(arguments)
    lab = Lab.open(arguments.lab)
    _ = node.init  # raises where it is off
    if not 0 <= arguments.port < 1 << 16:
        raise LabError(f"{arguments.port} is no port: they go to 65535, and 0 lets the machine choose one.")
    try:
        listening = socket.create_server((LOOPBACK, arguments.port))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise LabError(
            f"Cannot listen on port {arguments.port}: {reason}. Name another one: ./dev web --port N"
        ) from error
    port = listening.getsockname()[1]
    print(
        f"""The web interface of {node.name}: https://{LOOPBACK}:{port}
  user root, realm PAM, password {ROOT_PASSWORD}; the certificate is the cluster's own.
  From elsewhere: ssh -L {port}:{LOOPBACK}:{port} root@THIS-MACHINE, then the same there.
  Ctrl-C ends it.""",
        flush=True,
    )
    listening.set_inheritable(True)
    program = [sys.executable, str(Path(__file__).with_name("forward.py")), str(listening.fileno())]
    argv = ["ip", "netns", "exec", lab.record.switch_netns, *program, node.address(), str(API_PORT)]
    os.execvp(argv[0], argv)  # in place of this process: whoever ends it ends all of it


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
