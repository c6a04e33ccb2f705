"""Every path, port and name that the programs use, in one object that is handed down.

Nothing else in the package spells out a path of the host. The defaults are those of the manual; a test
or a laboratory hands in another object.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

GROUP = "www-data"
"""Group of everything in the mount and of the unprivileged half of the API."""

PROGRAM_DIR = Path(__file__).resolve().parents[2]
"""What holds src/ (and web/): /opt/quorate where it is installed."""

API_PORT = 8006
CONSOLE_PORTS = range(5900, 6000)
"""Where consoles listen, on 127.0.0.1 alone."""
JOIN_API_VERSION = 1


@dataclass(frozen=True, slots=True)
class Settings:
    """Paths of one node. ``root`` stands before all of them (``/`` on a real host)."""

    root: Path = field(default_factory=lambda: Path("/"))

    def at(self, path: str) -> Path:
        """The absolute host path ``path`` seen below ``root``."""
        return self.root / path.lstrip("/")

    # The cluster file system
    @property
    def mountpoint(self) -> Path:
        return self.at("/etc/pve")

    @property
    def state_dir(self) -> Path:
        return self.at("/var/lib/pve-cluster")

    @property
    def database(self) -> Path:
        return self.state_dir / "config.db"

    @property
    def lockfile(self) -> Path:
        return self.state_dir / ".pmxcfs.lockfile"

    @property
    def backup_dir(self) -> Path:
        return self.state_dir / "backup"

    @property
    def run_dir(self) -> Path:
        return self.at("/run/pve-cluster")

    @property
    def restart_flag(self) -> Path:
        return self.run_dir / "cfs-restart-flag"

    @property
    def pidfile(self) -> Path:
        return self.at("/run/pve-cluster.pid")

    @property
    def statd_pidfile(self) -> Path:
        return self.at("/run/pvestatd.pid")

    @property
    def ipc_dir(self) -> Path:
        """Control files of the clients of the file system's IPC."""
        return self.run_dir / "ipc"

    @property
    def rrd_dir(self) -> Path:
        return self.at("/var/lib/rrdcached/db")

    @property
    def rrdcached_socket(self) -> Path:
        return self.at("/var/run/rrdcached.sock")

    # Corosync
    @property
    def corosync_dir(self) -> Path:
        return self.at("/etc/corosync")

    @property
    def corosync_conf(self) -> Path:
        """The host's copy, which corosync reads."""
        return self.corosync_dir / "corosync.conf"

    @property
    def corosync_authkey(self) -> Path:
        return self.corosync_dir / "authkey"

    @property
    def cluster_conf(self) -> Path:
        """The cluster's copy, the source."""
        return self.mountpoint / "corosync.conf"

    @property
    def qdevice_store(self) -> Path:
        return self.corosync_dir / "qdevice" / "net" / "nssdb"

    # Secure shell
    @property
    def ssh_dir(self) -> Path:
        return self.at("/etc/ssh")

    @property
    def root_ssh_dir(self) -> Path:
        return self.at("/root/.ssh")

    # Consoles
    @property
    def login_program(self) -> Path:
        """What a console on this node runs."""
        return self.at("/bin/login")

    # Local locks, API, tasks
    @property
    def pvecm_lock(self) -> Path:
        return self.at("/var/lock/pvecm.lock")

    @property
    def host_files_lock(self) -> Path:
        """Held while a program changes the host's own files: network, names, time zone."""
        return self.at("/var/lock/pve-host-files.lock")

    @property
    def api_socket(self) -> Path:
        """Where the privileged half of the API listens (0660 root:www-data)."""
        return self.at("/run/pvedaemon/api.sock")

    @property
    def daemon_pidfile(self) -> Path:
        return self.at("/run/pvedaemon.pid")

    @property
    def proxy_pidfile(self) -> Path:
        """In a directory of the web user's own."""
        return self.at("/run/pveproxy/pveproxy.pid")

    @property
    def graph_dir(self) -> Path:
        """Images of figures that were asked for lately."""
        return self.at("/run/pvedaemon/graphs")

    @property
    def task_dir(self) -> Path:
        return self.at("/var/log/pve/tasks")

    @property
    def proxy_log_dir(self) -> Path:
        """The HTTPS front's access log (0700 www-data)."""
        return self.at("/var/log/pveproxy")

    @property
    def proxy_config(self) -> Path:
        """Who may connect to the HTTPS front, and how it speaks TLS."""
        return self.at("/etc/default/pveproxy")

    @property
    def web_dir(self) -> Path:
        """The built web interface, which lies beside the programs."""
        return PROGRAM_DIR / "web/dist"
