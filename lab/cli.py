"""The commands of ./dev: arguments and dispatch; the work is done elsewhere."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable, Sequence

from bench.arguments import add_arguments
from lab import labcommands
from lab.errors import LabError
from lab.host import require_machine
from lab.progress import say

Handler = Callable[[argparse.Namespace], int]
OF_THE_MACHINE = {
    errno.ENOSPC: "Make room on that file system, then run this again.",
    errno.EDQUOT: "Make room within the quota, then run this again.",
    errno.EROFS: "Run this in a clone on a file system that can be written to.",
    errno.EACCES: "Run this as root (sudo).",
    errno.EPERM: "Run this as root (sudo), on a machine or in a container that root owns wholly.",
}
"""Errors of the operating system that are no fault of ours: what to do."""
DESCRIPTION = "Works with this clone of quorate. All set-up is done when it is needed."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["test"]:  # what follows belongs to pytest, options included
        return _guard(_test, argparse.Namespace(arguments=words[1:]))
    if words in ([], ["help"]):
        words = ["--help"]
    arguments = _parser().parse_args(words)
    handler: Handler = arguments.handler
    return _guard(handler, arguments)


def _guard(handler: Handler, arguments: argparse.Namespace) -> int:
    try:
        return handler(arguments)
    except LabError as error:
        return _refuse(str(error))
    except OSError as error:
        if error.errno not in OF_THE_MACHINE:
            raise
        place = f" {error.filename}" if error.filename else ""
        return _refuse(f"Failed at{place}: {error.strerror}. {OF_THE_MACHINE[error.errno]}")
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


def _refuse(text: str) -> int:
    sys.stdout.flush()
    for line in text.splitlines():
        say(line)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev", description=DESCRIPTION)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    command = commands.add_parser("setup", help="Debian packages, .venv, web interface, the nodes' base root")
    command.set_defaults(handler=_setup)

    command = commands.add_parser("demo", help="bring up a cluster, show what it does, leave it running")
    command.add_argument("--nodes", type=int, default=3, metavar="N", help="how many nodes (3)")
    command.add_argument("--links", type=int, default=1, metavar="L", help="how many networks (1)")
    command.set_defaults(handler=_demo)

    commands.add_parser("test", help="all tests; with arguments: pytest with these", add_help=False)
    command = commands.add_parser("check", help="the quick tests: lint, types, unit, simulation")
    command.set_defaults(handler=_check)

    command = commands.add_parser("docs", help="write the reference pages anew from the declarations")
    command.set_defaults(handler=_docs)

    command = commands.add_parser("bench", help="measure file system, API and web page on a lab")
    add_arguments(command)
    command.set_defaults(handler=_bench)

    command = commands.add_parser("fuzz", help="feed parsers and state machines with made-up bytes")
    command.add_argument("target", nargs="?", help="one of tests/fuzz/corpus (all)")
    command.add_argument("--seconds", type=int, default=600, metavar="N", help="for each target (600)")
    command.add_argument("--keep", action="store_true", help="put new inputs worth keeping into the corpus")
    command.set_defaults(handler=_fuzz)

    command = commands.add_parser("history", help="clients on all nodes under random faults, and a check")
    command.add_argument("--minutes", type=float, default=15.0, metavar="N", help="of faults (15)")
    command.add_argument("--seed", type=int, metavar="S", help="of operations and faults (a new one)")
    command.add_argument("--nodes", type=int, default=3, metavar="N", help="how many nodes (3)")
    command.add_argument("--kills", type=int, default=200, metavar="N", help="of a pmxcfs afterwards (200)")
    command.set_defaults(handler=_history)

    command = commands.add_parser("shell", help="enter a node, or run a command in it")
    _with_lab(command)
    command.add_argument("node", help="n1, n2, ...")
    words = command.add_argument("command", nargs=argparse.REMAINDER, help="instead of a shell")
    words.required = False  # or it is named as missing where the node is
    command.set_defaults(handler=labcommands.shell)

    command = commands.add_parser("logs", help="a node's log: of the cluster's services")
    _with_lab(command)
    command.add_argument("node", help="n1, n2, ...")
    command.add_argument("-f", "--follow", action="store_true", help="go on as lines come")
    command.add_argument("-u", "--unit", action="append", help="of this unit (may be repeated)")
    command.add_argument("-a", "--all", action="store_true", help="of everything")
    command.set_defaults(handler=labcommands.logs)

    command = commands.add_parser("web", help="show a node's web interface to a browser of this machine")
    _with_lab(command)
    command.add_argument("node", nargs="?", default="n1", help="n1 (default), n2, ...")
    command.add_argument("--port", type=int, default=labcommands.API_PORT, metavar="P", help="here (8006)")
    command.set_defaults(handler=labcommands.web)

    command = commands.add_parser("down", help="end the demo, and what crashed labs left behind")
    _with_lab(command)
    command.add_argument("--all", action="store_true", help="every lab, those of running tests as well")
    command.set_defaults(handler=labcommands.down)

    _add_lab(commands.add_parser("lab", help="labs of your own: power, network faults"))
    return parser


def _add_lab(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    command = commands.add_parser("up", help="make a lab and boot its nodes (no cluster yet)")
    _with_lab(command)
    command.add_argument("--nodes", type=int, default=3, metavar="N")
    command.add_argument("--links", type=int, default=1, metavar="L")
    command.set_defaults(handler=_lab_up)

    command = commands.add_parser("list", help="the labs there are, and their nodes")
    command.set_defaults(handler=labcommands.show_list)

    for name, (method, text) in labcommands.POWER.items():
        command = commands.add_parser(name, help=text)
        _with_lab(command)
        command.add_argument("node", nargs="+")
        command.set_defaults(handler=labcommands.power, method=method)

    command = commands.add_parser("cut", help="pull a node's cables")
    _with_lab(command, link=True)
    command.add_argument("node")
    command.set_defaults(handler=labcommands.cut)

    command = commands.add_parser("split", help="keep groups apart: split n1,n2 n3,n4")
    _with_lab(command, link=True)
    command.add_argument("groups", nargs="+", type=lambda text: text.split(","))
    command.set_defaults(handler=labcommands.split)

    command = commands.add_parser("one-way", help="lose what one node sends to another")
    _with_lab(command, link=True)
    command.add_argument("source")
    command.add_argument("destination")
    command.set_defaults(handler=labcommands.one_way)

    command = commands.add_parser("drop", help="lose a part of a node's frames")
    _with_lab(command, link=True)
    command.add_argument("node")
    command.add_argument("percent", type=int)
    command.set_defaults(handler=labcommands.drop)

    command = commands.add_parser("delay", help="delay a node's frames, each way")
    _with_lab(command, link=True)
    command.add_argument("node")
    command.add_argument("milliseconds", type=float)
    command.add_argument("--jitter", type=float, default=0.0, metavar="MS")
    command.set_defaults(handler=labcommands.delay)

    command = commands.add_parser("heal", help="take away all faults, or those of one node")
    _with_lab(command, link=True)
    command.add_argument("node", nargs="?")
    command.set_defaults(handler=labcommands.heal)


def _with_lab(parser: argparse.ArgumentParser, *, link: bool = False) -> None:
    parser.add_argument("--lab", default=labcommands.DEMO, metavar="NAME", help="which lab (demo)")
    if link:
        parser.add_argument("--link", type=int, metavar="L", help="on this link only")


# Imported late: the set-up must run before anything that needs it


def _setup(_: argparse.Namespace) -> int:
    from lab.setup import ensure_setup

    ensure_setup()
    print("Ready. Next: ./dev demo, ./dev test. The commands lie in .venv/bin/.")
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from lab.demo import demo
    from lab.setup import ensure_setup

    require_machine()
    ensure_setup()
    return demo(nodes=arguments.nodes, links=arguments.links)


def _test(arguments: argparse.Namespace) -> int:
    from lab.checks import test
    from lab.setup import ensure_setup

    if not arguments.arguments:
        require_machine()
    ensure_setup(tests=True)
    return test(arguments.arguments)


def _docs(_: argparse.Namespace) -> int:
    from lab.checks import write_reference
    from lab.setup import ensure_setup

    ensure_setup(base=False)
    return write_reference()


def _check(_: argparse.Namespace) -> int:
    from lab.checks import check
    from lab.setup import ensure_setup
    from lab.web import ensure_node_modules

    ensure_setup(base=False)
    ensure_node_modules()
    return check()


def _bench(arguments: argparse.Namespace) -> int:
    from bench.run import run
    from lab.setup import ensure_setup

    require_machine()
    ensure_setup()
    return run(arguments)


def _fuzz(arguments: argparse.Namespace) -> int:
    from lab.fuzz import fuzz
    from lab.setup import ensure_setup

    ensure_setup(base=False)
    return fuzz(arguments.target, seconds=arguments.seconds, keep=arguments.keep)


def _history(arguments: argparse.Namespace) -> int:
    from lab.history import history
    from lab.setup import ensure_setup

    require_machine()
    ensure_setup()
    return history(
        minutes=arguments.minutes, seed=arguments.seed, nodes=arguments.nodes, kills=arguments.kills
    )


def _lab_up(arguments: argparse.Namespace) -> int:
    from lab.setup import ensure_setup

    require_machine()
    ensure_setup()
    return labcommands.up(arguments)


if __name__ == "__main__":
    sys.exit(main())
