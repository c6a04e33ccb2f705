"""The cluster's corosync.conf on disk: reading it, and its atomic update (pvecm 2.6)."""

from __future__ import annotations

from typing import Final

from quorate.cfs import CfsError
from quorate.cluster.host import ClusterError, Host
from quorate.corosync.conf import ConfError, CorosyncConf, parse, write
from quorate.corosync.conf_edit import raise_version

CONF: Final = "corosync.conf"
CONF_NEW: Final = "corosync.conf.new"


def read(host: Host) -> CorosyncConf:
    """The cluster's file; an empty object if there is none. Raises ClusterError if it cannot be parsed."""
    try:
        return parse(host.cfs.read(CONF))
    except FileNotFoundError:
        return CorosyncConf()
    except ConfError as e:
        raise ClusterError(f"unable to parse '{host.settings.cluster_conf}' - {e}") from e


def activate(host: Host, conf: CorosyncConf) -> CorosyncConf:
    """Raise the version and put the file in place; the caller holds the lock. Returns what was written."""
    try:
        raised = raise_version(conf)
        text = write(raised)
    except ConfError as e:
        raise ClusterError(str(e)) from e
    host.cfs.write(CONF_NEW, text)
    try:
        (host.cfs.root / CONF_NEW).rename(host.settings.cluster_conf)
    except OSError as e:
        try:
            host.cfs.remove(CONF_NEW)
        except CfsError as left:
            host.out.error(str(left))
        raise ClusterError(f"activating corosync.conf.new failed - {e.strerror}") from e
    return raised


def require_cluster(host: Host) -> None:
    """Raise unless this node has a cluster configuration (the text of pvecm 1.9)."""
    path = host.settings.cluster_conf
    if not path.exists():
        raise ClusterError(
            f"Error: Corosync config '{path}' does not exist - is this node part of a cluster?"
        )
