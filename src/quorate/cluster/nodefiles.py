"""The files that every node needs in and for the cluster: directories, keys, certificates (pvecm 4.4-4.7).

Each function may run again at any time: it creates what is missing and leaves the rest alone.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from quorate.cluster import ssh
from quorate.cluster.host import ClusterError, Host

UPDATE_SECONDS: Final = 80.0
QUORUM_POLL_SECONDS: Final = 0.1
QUORUM_MESSAGE_SECONDS: Final = 5.0

NODE_DIRECTORIES: Final = ("lxc", "qemu-server", "openvz", "priv")
OBSERVED_DIRECTORIES: Final = (
    "firewall",
    "ha",
    "mapping",
    "priv",
    "priv/acme",
    "sdn",
    "virtual-guest",
)
VZDUMP_CRON: Final = (
    "# cluster wide vzdump cron schedule\n"
    "# Automatically generated file - do not edit\n"
    '\nPATH="/usr/sbin:/usr/bin:/sbin:/bin"\n\n'
)
UPDATE_TIMEOUT_TEXT: Final = (
    "got timeout when trying to ensure cluster certificates and base file hierarchy is set up"
    " - no quorum (yet) or hung pmxcfs?"
)


class UpdateTimeoutError(ClusterError):
    """The cluster file system was not writable in time."""


def make_directories(host: Host, node: str) -> None:
    """The directories of a node (pvecm 4.4)."""
    cfs = host.cfs
    if not cfs.mounted():
        raise ClusterError(f"pve configuration filesystem (pmxcfs) not mounted ({cfs.root})")
    cfs.make_directory("priv", mode=0o700)
    cfs.make_directory("nodes")
    cfs.make_directory(f"nodes/{node}")
    for name in NODE_DIRECTORIES:
        cfs.make_directory(f"nodes/{node}/{name}", mode=0o700 if name == "priv" else 0o755)


def remove_empty_directories(host: Host, node: str) -> None:
    """Take back what make_directories() made for a node that did not come; what holds a file stays."""
    directory = host.cfs.root / "nodes" / node
    for path in (*(directory / name for name in NODE_DIRECTORIES), directory):
        with suppress(OSError):
            path.rmdir()


def generate_node_files(host: Host, *, force_certificate: bool = False) -> None:
    """Directories, ticket key, CSRF key, node key, CA and node certificate, where missing."""
    from quorate.cluster import certificates as certs

    make_directories(host, host.node)
    certs.ensure_auth_key(host)
    certs.ensure_www_key(host)
    certs.ensure_node_key(host, host.node)
    new_ca = certs.ensure_ca(host)
    certs.ensure_node_certificate(host, host.node, host.local_ip(), force=force_certificate or new_ca)


def setup_local_files(host: Host) -> None:
    """Root's SSH key and client configuration, the link of the backup schedule."""
    ssh.setup_root_client(host)
    link_vzdump_cron(host)


def link_vzdump_cron(host: Host) -> None:
    """/etc/cron.d/vzdump is a link to the cluster's schedule where there is one."""
    if not host.cfs.exists("vzdump.cron"):
        return
    local = host.settings.at("/etc/cron.d/vzdump")
    if local.is_symlink():
        return
    local.parent.mkdir(parents=True, exist_ok=True)
    if local.exists():
        local.rename(host.settings.at("/root/etc_cron_vzdump.org"))
    local.symlink_to(host.settings.mountpoint / "vzdump.cron")


def wait_for_quorum(host: Host, *, seconds: float, silent: bool) -> None:
    """Wait until the cluster file system is writable; raises UpdateTimeoutError."""
    end = host.clock.monotonic() + seconds
    next_message = 0.0
    while not host.cfs.quorate():
        now = host.clock.monotonic()
        if now >= end:
            raise UpdateTimeoutError(UPDATE_TIMEOUT_TEXT)
        if not silent and now >= next_message:
            host.out.line("waiting for pmxcfs mount to appear and get quorate...")
            next_message = now + QUORUM_MESSAGE_SECONDS
        host.clock.sleep(QUORUM_POLL_SECONDS)


def updatecerts(
    host: Host,
    *,
    force: bool = False,
    silent: bool = False,
    unmerge_known_hosts: bool = False,
    link_known_hosts: bool = False,
) -> None:
    """``pvecm updatecerts`` (pvecm 4.7); raises UpdateTimeoutError without quorum, ClusterError otherwise."""

    def say(text: str) -> None:
        if not silent:
            host.out.line(text)

    setup_local_files(host)
    wait_for_quorum(host, seconds=UPDATE_SECONDS, silent=silent)
    ssh.setup_shared_keys(host)
    say("(re)generate node files")
    if force:
        say("generate new node certificate")
    generate_node_files(host, force_certificate=force)
    say("merge authorized SSH keys")
    ssh.merge_shared_keys(host)
    if unmerge_known_hosts:
        say("unmerge SSH known hosts")
        ssh.unlink_known_hosts(host)
    try:
        ssh.write_node_host_key(host, host.node)
        ssh.merge_host_keys(host, create_link=link_known_hosts)
    except ClusterError as e:
        # A node without an RSA host key of sshd still gets its certificate.
        host.out.error(str(e))
    if not host.cfs.exists("vzdump.cron"):
        host.cfs.write("vzdump.cron", VZDUMP_CRON.encode())
    link_vzdump_cron(host)
    _make_observed_directories(host, say)


def _make_observed_directories(host: Host, say: object) -> None:
    if not host.cfs.mounted():
        host.out.error("pmxcfs isn't mounted (/etc/pve), chickening out..")
        return
    for name in OBSERVED_DIRECTORIES:
        if not (host.cfs.root / name).is_dir():
            if callable(say):
                say(f"creating directory '{host.cfs.root / name}' for observed files")
            host.cfs.make_directory(name)
