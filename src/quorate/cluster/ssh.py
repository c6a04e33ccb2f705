"""Secure shell between members: root's key, the shared key list, host keys (pvecm 4.3).

The merges are pure functions over file contents; the functions above them read and write.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from quorate.cfs import CfsError, file_lock_id
from quorate.cluster.commands import CommandError
from quorate.cluster.host import ClusterError, Host

AUTHORIZED_KEYS: Final = "priv/authorized_keys"
KNOWN_HOSTS: Final = "priv/known_hosts"
AUTHORIZED_KEYS_LOCK: Final = file_lock_id(AUTHORIZED_KEYS)
KNOWN_HOSTS_LOCK: Final = file_lock_id(KNOWN_HOSTS)
"""Every node adds to these two: without a lock the keys of nodes that join together get lost."""
KEY_BITS: Final = 4096
KEYGEN_SECONDS: Final = 120.0
CLIENT_CONFIG: Final = (
    "Ciphers aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com,"
    "chacha20-poly1305@openssh.com\n"
)
_KEY: Final = re.compile(r"(?:ssh-rsa|ssh-dsa)\s+(\S+)\s+\S+")
_HOST_LINE: Final = re.compile(r"(\S+)\s+(ssh-rsa)\s+(\S+)\s*")


# -- what the commands call -----------------------------------------------------------------------------


def setup_sshd(host: Host) -> None:
    """Make sure that sshd lets root in."""
    path = host.settings.ssh_dir / "sshd_config"
    try:
        text = path.read_text(errors="surrogateescape")
    except FileNotFoundError:
        host.out.error(f"unable to allow root logins: '{path}' does not exist - is openssh-server installed?")
        return
    changed = permit_root_login(text)
    if changed == text:
        return
    _replace(path, changed.encode(errors="surrogateescape"), mode=path.stat().st_mode & 0o777)
    try:
        host.run(["systemctl", "reload-or-restart", "sshd"])
    except CommandError as e:
        host.out.error(str(e))


def setup_root_client(host: Host) -> None:
    """Root's key pair and client configuration, where missing."""
    directory = host.settings.root_ssh_dir
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = directory / "id_rsa"
    if not key.with_suffix(".pub").exists():
        host.run(
            ["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-b", str(KEY_BITS), "-f", str(key)],
            timeout=KEYGEN_SECONDS,
        )
    config = directory / "config"
    with suppress(FileExistsError):
        fd = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        with os.fdopen(fd, "w") as file:
            file.write(CLIENT_CONFIG)


def setup_shared_keys(host: Host) -> None:
    """Make root's authorized_keys the cluster's shared file; problems are warnings."""
    shared = host.cfs.root / AUTHORIZED_KEYS
    own = host.settings.root_ssh_dir / "authorized_keys"
    original = own.with_name("authorized_keys.org")
    imported = False
    if not host.cfs.exists(AUTHORIZED_KEYS):
        try:
            host.cfs.make_directory("priv", mode=0o700)
            host.cfs.write(AUTHORIZED_KEYS, _read(own), mode=0o600)
            imported = True
        except CfsError as e:
            host.out.error(f"can't create shared ssh key database '{shared}' - {e}")
            return
    if own.is_symlink():
        return
    try:
        own.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if own.is_file():
            own.rename(original)
        own.symlink_to(host.settings.mountpoint / AUTHORIZED_KEYS)
        if imported:
            original.unlink(missing_ok=True)
    except OSError as e:
        host.out.error(f"can't create symlink for ssh keys '{own}' -> '{shared}' - {e.strerror}")
        if original.exists() and not own.exists():
            original.rename(own)


def merge_shared_keys(host: Host) -> None:
    """Add root's key and what authorized_keys.org holds to the shared list."""
    directory = host.settings.root_ssh_dir
    original = directory / "authorized_keys.org"
    with host.cfs.lock(AUTHORIZED_KEYS_LOCK) as held:
        parts = [_read(host.cfs.root / AUTHORIZED_KEYS), _read(original), _read(directory / "id_rsa.pub")]
        merged = merge_authorized_keys(part.decode(errors="surrogateescape") for part in parts)
        held.remaining()
        host.cfs.write(AUTHORIZED_KEYS, merged.encode(errors="surrogateescape"), mode=0o600)
    if (directory / "authorized_keys").is_symlink():
        original.unlink(missing_ok=True)


def write_node_host_key(host: Host, node: str) -> None:
    """The node's own known-hosts file below /etc/pve/nodes."""
    host.cfs.write(f"nodes/{node}/ssh_known_hosts", f"{node} ssh-rsa {own_host_key(host)}".encode())


def merge_host_keys(host: Host, *, create_link: bool) -> None:
    """Bring the own host key into the shared known-hosts file; with ``create_link`` make the local one it."""
    local = host.settings.ssh_dir / "ssh_known_hosts"
    local_text = "" if local.is_symlink() else _read(local).decode(errors="surrogateescape")
    ip, key = host.local_ip(), own_host_key(host)
    with host.cfs.lock(KNOWN_HOSTS_LOCK) as held:
        shared_text = _read(host.cfs.root / KNOWN_HOSTS).decode(errors="surrogateescape")
        merged = merge_known_hosts(shared_text, local_text, host.node, ip, key)
        if merged != shared_text or not host.cfs.exists(KNOWN_HOSTS):
            held.remaining()
            host.cfs.write(KNOWN_HOSTS, merged.encode(errors="surrogateescape"), mode=0o600)
    if create_link:
        target = host.settings.mountpoint / KNOWN_HOSTS
        if local.is_symlink() and local.readlink() == target:
            return
        temporary = local.with_name(f"{local.name}.tmp.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.rename(local)


def unlink_known_hosts(host: Host) -> None:
    """Turn /etc/ssh/ssh_known_hosts from a link into a file of its own with the same content."""
    local = host.settings.ssh_dir / "ssh_known_hosts"
    if local.is_symlink():
        _replace(local, _read(host.cfs.root / KNOWN_HOSTS), mode=0o644)


def own_host_key(host: Host) -> str:
    """The base64 blob of this node's RSA host key; raises ClusterError."""
    path = host.settings.ssh_dir / "ssh_host_rsa_key.pub"
    for line in _read(path).decode(errors="replace").splitlines():
        match = re.match(r"ssh-rsa\s+(\S+)", line)
        if match:
            return match[1]
    raise ClusterError(f"can't parse {path}")


def member_command(host: Host, node: str, ip: str) -> list[str]:
    """The ssh command line up to the command, as members use it among each other."""
    return ["/usr/bin/ssh", "-e", "none", *_member_options(host, node), f"root@{ip}"]


def _member_options(host: Host, node: str) -> list[str]:
    options = ["-o", "BatchMode=yes", "-o", f"HostKeyAlias={node}"]
    known = host.cfs.root / f"nodes/{node}/ssh_known_hosts"
    if known.exists():
        options += ["-o", f"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=none"]
    return options


# -- pure -----------------------------------------------------------------------------------------------


def permit_root_login(text: str) -> str:
    """sshd_config with ``PermitRootLogin yes`` in force."""
    lines = text.splitlines(keepends=True)
    if any(re.match(r"PermitRootLogin\s+yes\s*$", line) for line in lines):
        return text
    for index, line in enumerate(lines):
        if re.match(r"#?PermitRootLogin\b", line):
            lines[index] = "PermitRootLogin yes\n"
            return "".join(lines)
    separator = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{separator}PermitRootLogin yes\n"


def merge_authorized_keys(texts: Iterable[str]) -> str:
    """All lines of all texts; of lines with the same key only the first."""
    seen = set()
    merged = []
    for text in texts:
        for line in text.splitlines():
            match = None if line.startswith("#") else _KEY.search(line)
            if match:
                if match[1] in seen:
                    continue
                seen.add(match[1])
            merged.append(f"{line}\n")
    return "".join(merged)


def merge_known_hosts(shared: str, local: str, node: str, ip: str, key: str) -> str:
    """The shared known-hosts text with this node's name and address under its present key.

    Plain and hashed entries of the own name or address with another key are dropped: left in front they
    would make every connection to a node that was installed anew fail.
    """
    own = (node.lower(), ip.lower())
    taken: set[str] = set()
    found: set[str] = set()
    merged: list[str] = []

    def take(line: str, *, keep_unknown: bool) -> None:
        match = _HOST_LINE.fullmatch(line)
        if match is None:
            if keep_unknown:
                merged.append(line)
            return
        name, blob = match[1], match[3]
        if name in taken:
            return
        matched = _matches(name, own)
        if matched is not None:
            if blob != key:
                return
            found.add(matched)
        taken.add(name)
        merged.append(line.rstrip())

    for line in shared.splitlines():
        take(line, keep_unknown=True)
    for line in local.splitlines():
        take(line, keep_unknown=False)
    merged += [f"{name} ssh-rsa {key}" for name in (node, ip) if name.lower() not in found]
    return "".join(f"{line}\n" for line in merged)


def _matches(name: str, own: tuple[str, str]) -> str | None:
    """Which of the own names an entry is for: plain, or hashed as ``|1|SALT|HASH``."""
    if not name.startswith("|1|"):
        return name.lower() if name.lower() in own else None
    parts = name.split("|")
    if len(parts) != 4:
        return None
    try:
        salt, expected = base64.b64decode(parts[2], validate=True), base64.b64decode(parts[3], validate=True)
    except (binascii.Error, ValueError):
        return None
    for candidate in own:
        if hmac.compare_digest(hmac.new(salt, candidate.encode(), hashlib.sha1).digest(), expected):
            return candidate
    return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _replace(path: Path, content: bytes, *, mode: int) -> None:
    temporary = path.with_name(f"{path.name}.tmp.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, mode)
        file.write(content)
    temporary.rename(path)
