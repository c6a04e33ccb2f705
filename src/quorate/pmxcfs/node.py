"""The running node: loop, database, tree, mount, and in cluster mode the groups, wired together.

Start and end of the process (options, fork, signals, files of the host) are in ``daemon``.
"""

from __future__ import annotations

import gc
import os
import sys
import tarfile
import time
import zlib
from typing import Final

from quorate.fuse.errors import FuseError, SessionEnded
from quorate.fuse.guardian import Guardian
from quorate.fuse.mountpoint import clear_dead_mount
from quorate.fuse.session import Session
from quorate.pmxcfs import dcdb, logs, status
from quorate.pmxcfs.backup import save_lost, summary
from quorate.pmxcfs.clinfo import ClusterInfo
from quorate.pmxcfs.clusterlink import ClusterSubmitter
from quorate.pmxcfs.dcdb import Dcdb
from quorate.pmxcfs.effects import Clock, Committed, Effect, LostEntries, Message, Propagate, Reload
from quorate.pmxcfs.figures import TreeFigures, figures_text
from quorate.pmxcfs.group import Group
from quorate.pmxcfs.ipcops import Operations
from quorate.pmxcfs.ipcserver import IpcServer, IpcServerError
from quorate.pmxcfs.load import DatabaseError
from quorate.pmxcfs.loop import RANK_FUSE, Loop
from quorate.pmxcfs.mount import Mount
from quorate.pmxcfs.paths import CLUSTER_CONFIG
from quorate.pmxcfs.pending import MAX_FILE_SIZE
from quorate.pmxcfs.persistence import Persistence
from quorate.pmxcfs.propagation import read_host_copy
from quorate.pmxcfs.propagator import Propagator
from quorate.pmxcfs.replication import Machine
from quorate.pmxcfs.rrdwriter import RrdWriter
from quorate.pmxcfs.services import ConfigurationService, QuorumService, Services
from quorate.pmxcfs.startup import Identity, StartupError
from quorate.pmxcfs.status import Status
from quorate.pmxcfs.store import Store
from quorate.pmxcfs.storerecovery import StoreRecovery
from quorate.pmxcfs.submit import LocalSubmitter, Submitter
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.virtual import VirtualEntries
from quorate.pmxcfs.watchdog import Watchdog
from quorate.settings import Settings

REQUESTS_PER_ROUND: Final = 32
"""Kernel requests served before the other descriptors have their turn."""

HOUSEKEEPING: Final = 0.25

END_SECONDS: Final = 3.0
"""At a regular end: how long open files' content may take to be delivered. systemd allows 10 s."""

GATHER_ROWS: Final = 0.01
"""Seconds for which a cluster member collects changes before it makes rows of them, once for each entry. The
store then waits four times as long for more (store.GATHER_SECONDS)."""

ROTATION_SECONDS: Final = 0.0005
"""What Corosync's token needs for one rotation on a local network, or less: for so long the loop stays awake
for an own message. Not where there is one processor for all."""

SWITCH_SECONDS: Final = 0.0005
"""How long the loop's thread may keep the interpreter while the store's wants it, in a transaction that a
caller waits for. Python's own 5 ms are waited several times in each when IPC clients keep the loop busy."""


class Node:
    """One node of the file system. ``open``, ``mount``, ``run``, then ``close``, in this order."""

    def __init__(self, settings: Settings, identity: Identity, *, local: bool) -> None:
        self.settings = settings
        self.identity = identity
        self._forced_local = local
        self.log = logs.domain("main")
        self.loop = Loop()
        self.watchdog = Watchdog(self.loop, self.log)
        self.cluster = False
        self.services: Services | None = None
        self._session: Session | None = None
        self._guardian: Guardian | None = None
        self._unmounted = False

    # Start

    def open(self) -> None:
        """Load the database and wire everything. Raises StartupError."""
        now = time.time()
        self._store = Store(self.settings.database, durable=True)
        try:
            self.tree = Tree.load(self._store.open(), now, time.monotonic())
        except DatabaseError as error:
            raise StartupError(str(error)) from error
        # Not whether the file exists: a start that ended before its first transaction, which has the root and
        # the import together, leaves one behind. A tree that was made anew has its root still to be stored.
        if self.tree.has_changes and not self._forced_local:
            self._import_configuration(now)
        entry = self.tree.lookup(CLUSTER_CONFIG)
        self.cluster = entry is not None and entry.children is None and not self._forced_local
        self._store.set_durable(not self.cluster)
        self.log.info("%s mode, node %s", "cluster" if self.cluster else "local", self.identity.nodename)
        self._wire()
        if self.cluster:
            self._propagator.bring_now(self._cluster_config())
        # What lives from here on does for good: keep the collector from walking it again and again.
        gc.collect()
        gc.freeze()
        sys.setswitchinterval(SWITCH_SECONDS)

    def mount(self) -> None:
        """Mount the file system and offer the IPC service. Raises StartupError."""
        mountpoint = self.settings.mountpoint
        try:
            if clear_dead_mount(mountpoint):
                self.log.info("took away a dead mount at %s", mountpoint)
            mountpoint.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._session = Session.mount(mountpoint)
        except FuseError as error:
            raise StartupError(str(error)) from error
        except OSError as error:
            raise StartupError(f"cannot create the mount point {mountpoint}: {error.strerror}") from error
        self._guardian = Guardian(self._session.mountpoint)
        self._mount.attach(self._session, self.loop.call_soon_threadsafe)
        self.loop.add_reader(self._session.fileno(), self._serve, RANK_FUSE)
        try:
            self._ipc.start()
        except IpcServerError as error:
            raise StartupError(str(error)) from error

    def run(self) -> None:
        """Serve until the loop is stopped or the file system is unmounted."""
        self.loop.at_end_of_round(self._end_of_round)
        self.loop.call_every(HOUSEKEEPING, self._housekeeping)
        self.watchdog.start()
        if self.services is not None:
            self.services.start()
        self.loop.run()

    # End

    def close(self) -> None:
        """Deliver what open files hold, unmount, leave the cluster, close the database. Bounded."""
        self._deliver_open_files()
        self._ipc.stop()
        self.watchdog.stop()
        self._propagator.stop()
        if self._session is not None:
            self.loop.remove_reader(self._session.fileno())
            try:
                self._session.unmount()
            except FuseError as error:
                self.log.warning("%s", error)
        if self.services is not None and not self.services.stop():
            self.log.warning("corosync does not answer; ending without leaving its groups")
        self._rrd.stop()
        if self._session is not None:
            self._session.close()
        if self._guardian is not None:
            self._guardian.dismiss()
        self._persistence.flush_now()
        try:
            self._store.close()
        except DatabaseError as error:
            self.log.error("%s", error)  # noqa: TRY400 - the text is for people
        self.loop.close()

    def abandon(self) -> None:
        """After a failed start: give back what was taken."""
        if self._session is not None:
            self._session.close()
        if self._guardian is not None:
            self._guardian.dismiss()
        store = getattr(self, "_store", None)
        if store is not None:
            try:
                store.close()
            except DatabaseError as error:
                self.log.error("%s", error)  # noqa: TRY400

    # Corosync's configuration

    def propagate(self, *, notify: bool) -> None:
        """Bring corosync.conf from the tree to the host (core 8.3)."""
        self._propagator.submit(self._cluster_config(), notify=notify)

    def _cluster_config(self) -> bytes | None:
        entry = self.tree.lookup(CLUSTER_CONFIG)
        return entry.content() if entry is not None and entry.children is None else None

    def _import_configuration(self, now: float) -> None:
        """A new database on a host that has a cluster's configuration: it is to join (core 1.3 step 8).

        New is one in which nothing was ever stored. A local node has a root row from its first start on, also
        when it has no file: a corosync.conf that somebody puts on its host means nothing, as on the original.
        """
        try:
            text = read_host_copy(self.settings.corosync_conf)
        except OSError as error:
            self.log.info("not importing %s: %s", self.settings.corosync_conf, error.strerror)
            return
        if text is None:
            return
        mtime = int(now) & 0xFFFFFFFF
        result = self.tree.create(CLUSTER_CONFIG, 0, mtime, now)
        if result >= 0 and text:
            result = self.tree.write(CLUSTER_CONFIG, 0, mtime, now, text, 0, True)
        if result < 0:
            raise StartupError(
                f"cannot import {self.settings.corosync_conf}: {os.strerror(-result)}; "
                f"at most {MAX_FILE_SIZE} bytes are possible"
            )

    # Wiring

    def _wire(self) -> None:
        nodename = self.identity.nodename
        self.quorum = QuorumService(
            self.loop,
            logs.domain("quorum"),
            changed=lambda: self._mount.quorum_changed(),
            notified=self._tell_quorum,
        )
        self._rrd = RrdWriter(self.settings.rrd_dir, self.settings.rrdcached_socket, logs.domain("status"))
        self.status = Status(
            nodename,
            ip=self.identity.ip,
            pid=os.getpid(),
            cluster=self.cluster,
            tree=lambda: self.tree,
            quorate=lambda: self.quorum.quorate or not self.cluster,
            now=lambda: int(time.time()),
            rrd_stored=self._rrd.submit,
        )
        self._ipc = IpcServer(
            self.loop,
            Operations(self.status, lambda: self.tree, self._tell, self._figures),
            gid=self.identity.gid,
            directory=self.settings.ipc_dir,
            log=logs.domain("ipcs"),
        )
        self._propagator = Propagator(
            self.settings.corosync_conf, logs.domain("dcdb"), corosync_runs=lambda: self.quorum.connected
        )
        submitter = self._wire_cluster() if self.cluster else self._wire_local()
        self._mount = Mount(
            self.tree,
            submitter,
            VirtualEntries(nodename, self.status),
            gid=self.identity.gid,
            now=time.time,
            mono=time.monotonic,
        )
        self._persistence = Persistence(
            self.tree,
            self._store,
            self.loop,
            changed=self._mount.changed,
            failed=lambda error: self._recovery.failed(error),
            gather=GATHER_ROWS if self.cluster else 0.0,
        )
        self._recovery = StoreRecovery(
            lambda: self.tree,
            write=self._persistence.retry,
            later=self.loop.call_later,
            broke=self._store_broke,
            healed=self._store_healed,
        )

    def _wire_local(self) -> Submitter:
        return LocalSubmitter(
            self.tree,
            now=time.time,
            mono=time.monotonic,
            collect=lambda: self._persistence.collect(),
            when_stored=lambda then: self._persistence.when_stored(then),
        )

    def _wire_cluster(self) -> Submitter:
        self._dcdb = Dcdb(self.tree)
        self._database_group = Group(
            dcdb.GROUP,
            Machine(
                self._dcdb,
                nodeid=0,
                pid=os.getpid(),
                protocol_version=dcdb.PROTOCOL_VERSION,
                has_updates=True,
                verifies=True,
                checks_quorum=True,
            ),
            self.loop,
            log=logs.domain("dcdb"),
            clock=_clock,
            before_event=self.quorum.drain,
            after_event=lambda: self._persistence.collect(),
            special=self._database_effect,
            lost=_nothing,
            answered=lambda: self._serve(answered=True),
            expects=ROTATION_SECONDS if len(os.sched_getaffinity(0)) > 1 else 0.0,
        )
        self._status_group = Group(
            status.GROUP,
            Machine(
                self.status,
                nodeid=0,
                pid=os.getpid(),
                protocol_version=status.PROTOCOL_VERSION,
                has_updates=False,
                verifies=False,
                checks_quorum=False,
            ),
            self.loop,
            log=logs.domain("status"),
            clock=_clock,
            before_event=_nothing,
            after_event=_nothing,
            special=lambda effect: None,
            lost=_nothing,
            joined=self.status.joined,
        )
        configuration = ConfigurationService(self.loop, logs.domain("confdb"), self._cluster_info)
        self.services = Services(
            self.loop, self.quorum, configuration, [self._database_group, self._status_group]
        )
        self._expected: int | None = None
        return ClusterSubmitter(self._dcdb, self.quorum, self._database_group)

    # Events

    def _serve(self, *, answered: bool = False) -> None:
        if self._unmounted:
            return
        assert self._session is not None
        try:
            self._session.serve(self._mount, REQUESTS_PER_ROUND, answered=answered)
        except SessionEnded as error:
            self._unmounted = True
            self.log.info("%s", error)
            self.loop.remove_reader(self._session.fileno())
            self.loop.stop()

    def _end_of_round(self) -> None:
        self._persistence.flush()
        try:
            if self._mount.has_notices:
                self._mount.send_notices()
        except FuseError as error:
            self.log.critical("%s; ending", error)
            self.loop.stop()

    def _tell(self, message: Message) -> None:
        """Send a status message to the other nodes. What cannot be sent now is told after the next sync."""
        if self.cluster and self._status_group.connected:
            self._status_group.submit(message.subtype, message.payload, None)

    def _figures(self) -> bytes:
        groups = {}
        if self.cluster:
            groups = {"dcdb": self._database_group.figures, "status": self._status_group.figures}
        tree = self.tree
        return figures_text(
            {} if self._session is None else self._session.counter.figures(),
            in_flight=0 if self._session is None else self._session.in_flight,
            tree=TreeFigures(len(tree), tree.total_size, tree.root.version, tree.error),
            groups=groups,
            ipc_clients=self._ipc.clients,
        )

    def _housekeeping(self) -> None:
        self._mount.push_old()
        self._mount.answer_interrupted()

    def _tell_quorum(self) -> None:
        for group in (self._database_group, self._status_group):
            group.quorum(self.quorum.quorate, self.quorum.members, self._expected)

    def _cluster_info(self, info: ClusterInfo) -> None:
        self.status.set_cluster_info(info)
        self._expected = len(info.nodes)
        self._tell_quorum()

    def _database_effect(self, effect: Effect) -> None:
        """What only the configuration database's machine asks for."""
        if isinstance(effect, Propagate):
            self.propagate(notify=effect.notify)
        elif isinstance(effect, Committed):
            assert isinstance(effect.adopted, tuple)
            self._taken_over(*effect.adopted)
        elif isinstance(effect, LostEntries):
            # Packing 100 MiB takes seconds, which the loop does not have.
            self._persistence.save_first(lambda: self._save_lost(effect))
        elif isinstance(effect, Reload):
            self.loop.call_later(effect.delay, self._recovery.retry)

    def _taken_over(self, old: Tree, new: Tree) -> None:
        self._persistence.replaced(old, new)
        self.tree = new
        self._mount.taken_over(old, new)

    def _save_lost(self, effect: LostEntries) -> None:
        log = logs.domain("dcdb")
        try:
            path = save_lost(self.settings.backup_dir, effect.entries, int(time.time()))
        except (OSError, ValueError, tarfile.TarError, zlib.error) as error:
            log.error("cannot save what the cluster replaces on this node (%s): %s", summary(effect), error)  # noqa: TRY400
            return
        if effect.diverged:
            log.warning(
                "changes of this node are replaced by the cluster's state: %s; they are kept in %s",
                summary(effect),
                path,
            )
        else:
            log.info(
                "replaced by the cluster's newer state: %s; old versions kept in %s", summary(effect), path
            )

    # A failing database

    def _store_broke(self, error: Exception) -> None:
        logs.domain("database").critical(
            "%s; /etc/pve is read-only until the database takes writes again", error
        )
        self._mount.quorum_changed()

    def _store_healed(self) -> None:
        logs.domain("database").info("the database takes writes again")
        self._mount.quorum_changed()
        if self.cluster:
            self._database_group.reloaded()

    # End

    def _deliver_open_files(self) -> None:
        self._mount.push_all()
        deadline = time.monotonic() + END_SECONDS
        while self._mount.busy and time.monotonic() < deadline:
            self.loop.run_once(0.1)


def _clock() -> Clock:
    return Clock(int(time.time()) & 0xFFFFFFFF, time.monotonic())


def _nothing() -> None:
    """For hooks that have nothing to do."""
