"""``pvecm add --use_ssh``: the join by way of secure shell, for members without the API (pvecm 1.5.1)."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from quorate.cluster import joinlocal, ssh
from quorate.cluster.commands import CommandError
from quorate.cluster.host import ClusterError, Host
from quorate.cluster.join import JoinRequest, check_version, delnode_by_hand, finish, taken_back_on_failure
from quorate.cluster.joincheck import assert_joinable, resolve_own_links
from quorate.cluster.undo import UndoList
from quorate.corosync.conf_edit import Link

SSH_SECONDS: Final = 60.0
SHOW_CONF: Final = ("cat", "/etc/pve/corosync.conf")


def join_by_ssh(host: Host, request: JoinRequest) -> None:
    """As join(), over ssh; what has to be taken back in the cluster on failure is done with delnode."""
    if request.hostname.startswith("-"):
        raise ClusterError(f"'{request.hostname}' is not a host name")
    links = resolve_own_links(host, request.links)
    assert_joinable(host, links, force=request.force)
    ssh.setup_sshd(host)
    ssh.setup_root_client(host)
    ssh.setup_shared_keys(host)
    ssh.unlink_known_hosts(host)
    key = host.settings.root_ssh_dir / "id_rsa"
    try:
        host.run(
            ["ssh-copy-id", "-i", str(key), f"root@{request.hostname}"],
            timeout=SSH_SECONDS * 5,
            interactive=True,
        )
    except CommandError as e:
        raise ClusterError(f"unable to copy ssh ID: {e}") from e
    version = _remote_version(host, request.hostname)
    check_version(version)
    undo = UndoList()
    with taken_back_on_failure(host, undo):
        _add_node(host, request, links, version, undo)
        directory = host.settings.state_dir / f".pvecm_add.tmp.{os.getpid()}"
        try:
            authkey, conf = _copy_files(host, request.hostname, directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        joinlocal.install(
            host, authkey, conf, undo, present_conf=lambda: _present_conf(host, request.hostname)
        )
    finish(host)


def _ssh(hostname: str, *command: str) -> list[str]:
    # sshd hands the words to a shell: they are quoted for it.
    return ["ssh", hostname, "-o", "BatchMode=yes", shlex.join(command)]


def _remote_version(host: Host, hostname: str) -> int:
    result = host.run(_ssh(hostname, "pvecm", "apiver"), check=False, timeout=SSH_SECONDS)
    text = result.stdout.strip()
    return int(text) if result.status == 0 and text.isdecimal() else 0


def _add_node(
    host: Host, request: JoinRequest, links: Mapping[int, Link], version: int, undo: UndoList
) -> None:
    command = ["pvecm", "addnode", host.node, "--force", "1"]
    if request.nodeid:
        command += ["--nodeid", str(request.nodeid)]
    if request.votes is not None:
        command += ["--votes", str(request.votes)]
    for number, link in sorted(links.items()):
        command += [f"--link{number}", link.address]
    if not links:
        ip = host.local_ip()
        host.out.line(f"No cluster network links passed explicitly, fallback to local node IP '{ip}'")
        command += ["--link0" if version == 0 else "--new_node_ip", ip]
    if version >= 1:
        command += ["--apiversion", "1"]
    argv = _ssh(request.hostname, *command)
    listed = host.run(_ssh(request.hostname, *SHOW_CONF), check=False, timeout=SSH_SECONDS)
    if listed.status == 0 and f" name: {host.node}\n" not in listed.stdout:
        # Also after an answer that never came: the entry may have been made all the same.
        undo.add(
            f"take back the entry of '{host.node}' in the cluster",
            lambda: _delete_node(host, request.hostname),
            by_hand=delnode_by_hand(host.node),
        )
    try:
        host.run(argv, timeout=SSH_SECONDS)
    except CommandError as e:
        host.out.error(e.stderr.rstrip())
        raise ClusterError(f"unable to add node: command failed ({shlex.join(argv)})") from e


def _delete_node(host: Host, hostname: str) -> None:
    try:
        host.run(_ssh(hostname, "pvecm", "delnode", host.node), timeout=SSH_SECONDS)
    except CommandError as e:
        if "is not a known host of the cluster" not in e.stderr:
            raise


def _present_conf(host: Host, hostname: str) -> bytes:
    return host.run(_ssh(hostname, *SHOW_CONF), timeout=SSH_SECONDS).stdout.encode()


def _copy_files(host: Host, hostname: str, directory: Path) -> tuple[bytes, bytes]:
    host.out.line("copy corosync auth key")
    directory.mkdir(mode=0o700, parents=True)
    sources = [f"[{hostname}]:/etc/corosync/authkey", f"[{hostname}]:/etc/pve/corosync.conf"]
    try:
        host.run(
            ["rsync", "--rsh=ssh -l root -o BatchMode=yes", "-lpgoq", *sources, str(directory)],
            timeout=SSH_SECONDS,
        )
    except CommandError as e:
        raise ClusterError(f"can't rsync data from host '{hostname}'\n{e}") from e
    return (directory / "authkey").read_bytes(), (directory / "corosync.conf").read_bytes()
