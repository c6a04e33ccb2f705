"""The options of `./dev bench`."""

from __future__ import annotations

import argparse
from pathlib import Path

OUTPUT = Path(__file__).resolve().parent.parent / "artifacts/bench.json"
ROUNDS = 5
PARTS = ("ops", "visible", "disk", "writers", "size", "join", "status", "nodes", "web")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="rounds (5)")
    parser.add_argument("--nodes", type=int, default=3, metavar="N", help="nodes of the lab (3)")
    parser.add_argument(
        "--part", action="append", choices=PARTS, help="only this part (may be repeated)", default=None
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only operations with this in their name")
    parser.add_argument("--lab", metavar="NAME", help="a running lab instead of one of its own (ops only)")
    parser.add_argument("--node", default="n1", metavar="NAME", help="where the clients run (n1)")
    parser.add_argument(
        "--dir",
        action="append",
        metavar="PATH",
        help="a mounted directory in that node (/etc/pve); again: measured beside the first, in turn",
    )
    parser.add_argument(
        "--together",
        action="store_true",
        help="do not keep the Corosyncs of all nodes on a processor of their own",
    )
    parser.add_argument("--json", type=Path, default=OUTPUT, metavar="FILE", help="where the figures go")
