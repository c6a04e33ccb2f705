"""``pvecm``: the commands of the cluster manager. Thin: words in, a function of cluster/ called, texts out.

Start-up is kept light: what a command does is imported when it runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from quorate.api import cluster_config
from quorate.cli.commandtree import Command, CommandFailed, CommandTree, complete_from_environment
from quorate.cli.options import UsageError
from quorate.cli.program import run_command_line
from quorate.formats import FINGERPRINT_PATTERN
from quorate.schema import Array, Boolean, Integer, Parameters, String
from quorate.settings import JOIN_API_VERSION, Settings

PROGRAM: Final = "pvecm"
SPECIAL_WORDS: Final = ("bashcomplete", "verifyapi")
NOT_MOUNTED: Final = "pve configuration filesystem (pmxcfs) not mounted"

OUTPUT_FORMAT: Final = String(
    optional=True, default="text", enum=("text", "json", "yaml"), description="Output format."
)


def main(argv: Sequence[str], settings: Settings | None = None) -> int:
    """Run ``pvecm`` with the words behind its name; returns the exit status."""
    settings = settings or Settings()
    tree = build_tree(settings)
    if argv and argv[0] == "bashcomplete":
        return complete_from_environment(tree, os.environ)
    if argv and argv[0] == "verifyapi":
        return 0
    return tree.run(argv, prepare=lambda command: _prepare(command, settings))


def entry() -> NoReturn:
    """The console script."""
    run_command_line(PROGRAM, main)


def build_tree(settings: Settings) -> CommandTree:
    """All commands, bound to ``settings``."""

    def lazily(name: str) -> Callable[[dict[str, Any]], int]:
        def run(params: dict[str, Any]) -> int:
            from quorate.cli import pvecm_commands

            return int(getattr(pvecm_commands, name)(settings, params))

        return run

    def quorumtool(*arguments: str) -> Callable[[dict[str, Any]], int]:
        def run(params: dict[str, Any]) -> int:
            from quorate.cli import pvecm_status

            words = [word.format(**params) for word in arguments]
            return pvecm_status.quorumtool(settings, words)

        return run

    def status(params: dict[str, Any]) -> int:
        from quorate.cli import pvecm_status

        return pvecm_status.status(settings, params.get("output-format", "text"))

    def show_help(params: dict[str, Any]) -> int:
        try:
            print(tree.help(params.get("extra-args") or [], verbose=params.get("verbose", True)), end="")
        except UsageError as e:
            name = " ".join(params["extra-args"])
            raise CommandFailed(f"ERROR: unknown command '{name}'\n{tree.short_usage()}") from e
        return 0

    def apiver(_params: dict[str, Any]) -> int:
        print(JOIN_API_VERSION)
        return 0

    tree = CommandTree(
        PROGRAM,
        [
            Command(
                name="qdevice setup",
                group=0,
                run=lazily("qdevice_setup"),
                positionals=("address",),
                description="Setup the use of a QDevice",
                parameters={
                    "address": String(
                        format="ip",
                        description="Specifies the network address of an external corosync QDevice",
                    ),
                    "network": String(
                        format="CIDR",
                        optional=True,
                        description="The network which should be used to connect to the external qdevice",
                    ),
                    "force": Boolean(
                        optional=True, description="Do not throw error on possible dangerous operations."
                    ),
                },
            ),
            Command(
                name="qdevice remove",
                group=0,
                run=lazily("qdevice_remove"),
                description="Remove a configured QDevice",
            ),
            Command(
                name="addnode",
                group=1,
                run=lazily("addnode"),
                positionals=("node",),
                description=cluster_config.ADD_NODE.description,
                parameters=cluster_config.ADD_NODE.parameters,
            ),
            Command(
                name="apiver",
                group=1,
                run=apiver,
                mounted=False,
                description=cluster_config.APIVERSION.description,
            ),
            Command(
                name="create",
                group=1,
                run=lazily("create"),
                positionals=("clustername",),
                description=cluster_config.CREATE.description,
                parameters=cluster_config.CREATE.parameters,
            ),
            Command(
                name="delnode",
                group=1,
                run=lazily("delnode"),
                positionals=("node",),
                description=cluster_config.DELETE_NODE.description,
                parameters={"node": cluster_config.NODE},
            ),
            Command(
                name="add",
                group=2,
                run=lazily("add"),
                positionals=("hostname",),
                description="Adds the current node to an existing cluster.",
                parameters=_add_parameters(),
            ),
            Command(
                name="expected",
                group=2,
                run=quorumtool("-e", "{expected}"),
                positionals=("expected",),
                description="Tells corosync a new value of expected votes.",
                parameters={"expected": Integer(minimum=1, description="Expected votes")},
            ),
            Command(
                name="keygen",
                group=2,
                run=lazily("keygen"),
                mounted=False,
                positionals=("filename",),
                description="Generate new cryptographic key for corosync.",
                parameters={"filename": String(description="Output file name")},
            ),
            Command(
                name="mtunnel",
                group=2,
                run=lazily("mtunnel"),
                positionals=("extra-args",),
                description="Used by VM/CT migration - do not use manually.",
                parameters={
                    "extra-args": Array(optional=True, description="Extra arguments as array"),
                    "get_migration_ip": Boolean(
                        optional=True, description="return the migration IP, if configured"
                    ),
                    "migration_network": String(
                        format="CIDR",
                        optional=True,
                        description="the migration network used to detect the local migration IP",
                    ),
                    "run-command": Boolean(
                        optional=True, description="Run a command with a tcp socket as standard input."
                    ),
                },
            ),
            Command(
                name="nodes",
                group=2,
                run=quorumtool("-l"),
                description="Displays the local view of the cluster nodes.",
            ),
            Command(
                name="status",
                group=2,
                run=status,
                description="Displays the local view of the cluster status.",
                parameters={"output-format": OUTPUT_FORMAT},
            ),
            Command(
                name="updatecerts",
                group=2,
                run=lazily("updatecerts"),
                mounted=False,
                description="Update node certificates (and generate all needed files/directories).",
                parameters={
                    "force": Boolean(optional=True, description="Force generation of new SSL certificate."),
                    "silent": Boolean(
                        optional=True, description="Ignore errors (i.e. when cluster has no quorum)."
                    ),
                    "unmerge-known-hosts": Boolean(
                        optional=True, default=False, description="Unmerge legacy SSH known hosts."
                    ),
                },
            ),
            Command(
                name="help",
                group=3,
                run=show_help,
                mounted=False,
                positionals=("extra-args",),
                description="Get help about specified command.",
                parameters={
                    "extra-args": Array(optional=True, description="Shows help for a specific command"),
                    "verbose": Boolean(optional=True, description="Verbose output format."),
                },
            ),
        ],
    )
    return tree


def _add_parameters() -> Parameters:
    join = cluster_config.JOIN.parameters
    return {
        "hostname": join["hostname"],
        "fingerprint": String(
            optional=True,
            pattern=FINGERPRINT_PATTERN,
            description="Certificate SHA 256 fingerprint.",
        ),
        "nodeid": join["nodeid"],
        "votes": join["votes"],
        "force": join["force"],
        "use_ssh": Boolean(
            optional=True,
            description="Always use SSH to join, even if peer may do it over API.",
        ),
        **cluster_config.LINKS,
    }


def _prepare(command: Command, settings: Settings) -> None:
    if command.name in ("help", "apiver"):
        return
    if os.getuid() != 0:
        if command.name == "keygen":
            raise CommandFailed("Error: Authorization key must be generated as root user.")
        raise CommandFailed("please run as root")
    if command.mounted and not (settings.mountpoint / "local").is_symlink():
        raise CommandFailed(NOT_MOUNTED)


if __name__ == "__main__":
    entry()
