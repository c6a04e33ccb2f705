"""The mount's rules without a kernel: requests in, answers and notices out (core 1.9-1.11)."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable

import pytest

from quorate.fuse import requests as r
from quorate.fuse.abi import ATTR, ENTRY_HEAD, OPEN_OUT, Fattr
from quorate.pmxcfs.mount import Mount
from quorate.pmxcfs.nodes import mode_of
from quorate.pmxcfs.tree import Tree
from quorate.pmxcfs.virtual import VirtualEntries
from quorate.pmxcfs.wire import FsMessage, FsOp

NOW = 1_700_000_000
GID = 33


class Texts:
    def version(self) -> bytes:
        return b"version"

    def members(self) -> bytes:
        return b"members"

    def vmlist(self) -> bytes:
        return b"vmlist"

    def rrd(self) -> bytes:
        return b""

    def clusterlog(self) -> bytes:
        return b"log"


class Cluster:
    """A submitter whose messages are delivered when the test says so, and not only its own."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.quorate = True
        self.sent: list[tuple[FsMessage, Callable[[int], None]]] = []
        self.together: list[int] = []
        """How many messages each submit_together had."""
        self.changed: Callable[[], None] = lambda: None

    @property
    def writable(self) -> bool:
        return self.quorate

    gathers = True

    def refusal(self) -> int:
        return 0 if self.quorate else errno.EACCES

    def submit(self, message: FsMessage, done: Callable[[int], None]) -> None:
        self.sent.append((message, done))

    def submit_together(self, *requests: tuple[FsMessage, Callable[[int], None]]) -> None:
        self.sent.extend(requests)
        self.together.append(len(requests))

    def unlock(self, path: bytes, done: Callable[[int], None]) -> bool:
        return False

    def when_safe(self, then: Callable[[int], None]) -> None:
        then(0)

    def deliver(self, count: int = 1000) -> None:
        """Own messages, in order."""
        while self.sent and count:
            message, done = self.sent.pop(0)
            done(self.tree.apply(message, 1, NOW, NOW))
            self.changed()
            count -= 1

    def remote(self, message: FsMessage) -> int:
        """Another node's message is delivered."""
        result = self.tree.apply(message, 2, NOW + 5, NOW)
        self.changed()
        return result


class FakeSession:
    """Records what reaches the kernel."""

    def __init__(self) -> None:
        self.replies: dict[int, bytes | int] = {}
        self.notices: list[tuple[object, ...]] = []
        self.notifications_taken = True
        self.needed: set[int] = set()
        self.marks: list[Callable[[], None]] = []

    def notifications_need(self, locks: tuple[int, ...]) -> bool:
        return bool(self.needed.intersection(locks))

    def after_notifications(self, callback: Callable[[], None]) -> None:
        self.marks.append(callback)

    def reply(self, unique: int, payload: bytes) -> bool:
        self.replies[unique] = payload
        return True

    def error(self, unique: int, code: int) -> bool:
        self.replies[unique] = code
        return True

    def waits(self, unique: int) -> bool:
        return unique not in self.replies

    def notify_inval_inode(self, nodeid: int) -> None:
        self.notices.append(("data", nodeid))

    def notify_inval_attr(self, nodeid: int) -> None:
        self.notices.append(("attr", nodeid))

    def notify_inval_entry(self, parent: int, name: bytes) -> None:
        self.notices.append(("name", parent, name))

    def notify_delete(self, parent: int, child: int, name: bytes) -> None:
        self.notices.append(("delete", parent, child, name))


class Kernel:
    """Makes requests of one mount."""

    def __init__(self, *paths: bytes) -> None:
        self.tree = Tree.new(NOW)
        for path in paths:
            if path.endswith(b"/"):
                self.tree.mkdir(path.rstrip(b"/"), 1, NOW, NOW)
            else:
                self.tree.create(path, 1, NOW, NOW)
                self.tree.write(path, 1, NOW, NOW, b"content", 0, False)
        self.tree.take_changes()
        self.cluster = Cluster(self.tree)
        self.clock = 0.0
        self.mount = Mount(
            self.tree,
            self.cluster,
            VirtualEntries("node1", Texts()),
            gid=GID,
            now=lambda: NOW,
            mono=lambda: self.clock,
        )
        self.session = FakeSession()
        self.mount.attach(self.session)  # type: ignore[arg-type]
        self.cluster.changed = lambda: self.mount.changed(self.cluster.tree.take_changes())
        self._unique = 0

    def ask(self, name: str, nodeid: int, body: object, pid: int = 7) -> int:
        """One request; its number."""
        self._unique += 1
        request = r.Request(0, self._unique, nodeid, 0, 0, pid, body)  # type: ignore[arg-type]
        result = getattr(self.mount, name)(request, body)
        if result is not None:
            self.session.replies[self._unique] = result
        return self._unique

    def call(self, name: str, nodeid: int, body: object) -> bytes | int:
        """One request, with everything delivered."""
        unique = self.ask(name, nodeid, body)
        self.cluster.deliver()
        return self.session.replies[unique]

    def bytes_of(self, name: str, nodeid: int, body: object) -> bytes:
        answer = self.call(name, nodeid, body)
        assert isinstance(answer, bytes), answer
        return answer

    def notices(self) -> list[tuple[object, ...]]:
        self.mount.send_notices()
        notices, self.session.notices = self.session.notices, []
        return notices

    def look_up(self, path: bytes) -> int:
        """Node id of a path; every step is looked up."""
        nodeid = 1
        for name in path.split(b"/"):
            answer = self.bytes_of("lookup", nodeid, r.LookupIn(name))
            nodeid = ENTRY_HEAD.unpack_from(answer)[0]
        return nodeid

    def open(self, nodeid: int, flags: int) -> int:
        answer = self.bytes_of("open", nodeid, r.OpenIn(flags, 0))
        fh: int = OPEN_OUT.unpack(answer)[0]
        return fh

    def create(self, name: bytes, flags: int = os.O_WRONLY) -> tuple[int, bytes | int | None, int]:
        """A CREATE in the root: its number, the answer so far, the handle."""
        unique = self.ask("create", 1, r.CreateIn(flags | os.O_CREAT, 0o600, 0, 0, name))
        answer = self.session.replies.get(unique)
        fh = OPEN_OUT.unpack_from(answer, len(answer) - OPEN_OUT.size)[0] if isinstance(answer, bytes) else 0
        return unique, answer, fh

    def write(self, fh: int, offset: int, data: bytes, flags: int = 0) -> int:
        return self.ask("write", 0, r.WriteIn(fh, offset, 0, 0, flags, data))

    def read(self, fh: int, size: int = 100) -> bytes:
        return self.bytes_of("read", 0, r.ReadIn(fh, 0, size, 0, 0, 0))

    def attributes(self, nodeid: int) -> tuple[int, int, int]:
        """Mode, size and for how long they hold."""
        answer = self.bytes_of("getattr", nodeid, r.GetattrIn(0, 0))
        fields = ATTR.unpack_from(answer, 16)
        return fields[9], fields[1], int.from_bytes(answer[:8], "little")


def setattr_body(valid: int, **fields: int) -> r.SetattrIn:
    return r.SetattrIn(valid=valid, **{name: fields.get(name, 0) for name in r.SetattrIn._fields[1:]})


MODES = [
    (b"", True, 0o755, 0o755),
    (b"d", True, 0o755, 0o555),
    (b"priv", True, 0o700, 0o500),
    (b"nodes/n1/priv", True, 0o700, 0o500),
    (b"f", False, 0o640, 0o440),
    (b"priv/f", False, 0o600, 0o400),
    (b"100.mount", False, 0o740, 0o540),
    (b"priv/vps.start", False, 0o700, 0o500),
    (b"privy/f", False, 0o640, 0o440),
]


@pytest.mark.parametrize(("path", "directory", "quorate", "other"), MODES)
def test_modes(path: bytes, directory: bool, quorate: int, other: int) -> None:
    assert stat.S_IMODE(mode_of(path, directory=directory, quorate=True)) == quorate
    assert stat.S_IMODE(mode_of(path, directory=directory, quorate=False)) == other


def test_create_and_write_go_out_back_to_back() -> None:
    kernel = Kernel()
    _, answer, fh = kernel.create(b"f")
    assert isinstance(answer, bytes)
    kernel.write(fh, 0, b"hello")
    flush = kernel.ask("flush", 0, r.FlushIn(fh, 0))
    assert [message.op for message, _ in kernel.cluster.sent] == [FsOp.CREATE, FsOp.WRITE]
    assert flush not in kernel.session.replies
    kernel.cluster.deliver(1)
    assert flush not in kernel.session.replies
    kernel.cluster.deliver()
    assert kernel.session.replies[flush] == b""
    assert kernel.notices() == []
    entry = kernel.tree.lookup(b"f")
    assert entry is not None
    assert entry.data == b"hello"


def test_a_create_that_loses_the_race_becomes_an_open() -> None:
    kernel = Kernel()
    _, _, fh = kernel.create(b"f", os.O_RDWR)
    kernel.cluster.remote(FsMessage(FsOp.CREATE, b"f"))
    kernel.cluster.remote(FsMessage(FsOp.WRITE, b"f", data=b"theirs!"))
    kernel.write(fh, 0, b"ours")
    flush = kernel.ask("flush", 0, r.FlushIn(fh, 0))
    kernel.cluster.deliver()
    assert kernel.session.replies[flush] == b""
    assert kernel.read(fh) == b"oursrs!"


def test_a_truncating_create_that_loses_the_race_truncates() -> None:
    for data in (b"", b"ours"):
        kernel = Kernel()
        _, _, fh = kernel.create(b"f", os.O_RDWR | os.O_TRUNC)
        kernel.cluster.remote(FsMessage(FsOp.CREATE, b"f"))
        kernel.cluster.remote(FsMessage(FsOp.WRITE, b"f", data=b"theirs!"))
        if data:
            kernel.write(fh, 0, data)
        flush = kernel.ask("flush", 0, r.FlushIn(fh, 0))
        kernel.cluster.deliver()
        assert kernel.session.replies[flush] == b""
        entry = kernel.tree.lookup(b"f")
        assert entry is not None
        assert entry.content() == data


def test_an_exclusive_create_waits_and_can_lose() -> None:
    kernel = Kernel()
    unique, answer, _ = kernel.create(b"f", os.O_WRONLY | os.O_EXCL)
    assert answer is None
    kernel.cluster.remote(FsMessage(FsOp.CREATE, b"f"))
    kernel.cluster.deliver()
    assert kernel.session.replies[unique] == errno.EEXIST


def test_a_create_that_fails_tells_close_and_the_name_goes() -> None:
    kernel = Kernel(b"d/")
    directory = kernel.look_up(b"d")
    unique = kernel.ask("create", directory, r.CreateIn(os.O_WRONLY | os.O_CREAT, 0o600, 0, 0, b"f"))
    answer = kernel.session.replies[unique]
    assert isinstance(answer, bytes)
    fh = OPEN_OUT.unpack_from(answer, len(answer) - OPEN_OUT.size)[0]
    kernel.cluster.remote(FsMessage(FsOp.DELETE, b"d"))
    kernel.write(fh, 0, b"x")
    flush = kernel.ask("flush", 0, r.FlushIn(fh, 0))
    kernel.cluster.deliver()
    assert kernel.session.replies[flush] == errno.ENOENT
    assert ("name", directory, b"f") in kernel.notices()


def test_requests_on_a_name_wait_for_its_create() -> None:
    kernel = Kernel()
    kernel.create(b"f")
    unlink = kernel.ask("unlink", 1, r.UnlinkIn(b"f"))
    listing = kernel.ask("readdir", 1, r.ReadIn(0, 0, 4096, 0, 0, 0))
    assert not {unlink, listing} & kernel.session.replies.keys()
    assert isinstance(kernel.session.replies[kernel.ask("lookup", 1, r.LookupIn(b"f"))], bytes)
    kernel.cluster.deliver()
    assert kernel.session.replies[unlink] == b""
    assert kernel.tree.lookup(b"f") is None


def test_names_are_decided_by_delivery() -> None:
    kernel = Kernel(b"d/", b"f")
    for name, body in [
        ("mkdir", r.MkdirIn(0o700, 0, b"new")),
        ("rename", r.RenameIn(1, 0, b"f", b"g")),
        ("unlink", r.UnlinkIn(b"f")),
        ("rmdir", r.UnlinkIn(b"d")),
    ]:
        assert kernel.ask(name, 1, body) not in kernel.session.replies
    kernel.cluster.deliver()
    assert kernel.session.replies[3] == errno.ENOENT  # renamed by the request before
    assert {1, 2, 4} <= kernel.session.replies.keys()
    assert sorted(kernel.tree.root.children or ()) == [b"g", b"new"]


def test_nothing_is_sent_without_quorum() -> None:
    kernel = Kernel(b"d/", b"f")
    node = kernel.look_up(b"f")
    fh = kernel.open(node, os.O_WRONLY)
    kernel.cluster.quorate = False
    kernel.mount.quorum_changed()
    assert kernel.call("write", 0, r.WriteIn(fh, 0, 0, 0, 0, b"x")) == errno.EACCES
    assert kernel.call("mkdir", 1, r.MkdirIn(0, 0, b"x")) == errno.EACCES
    assert kernel.call("open", node, r.OpenIn(os.O_WRONLY | os.O_TRUNC, 0)) == errno.EACCES
    assert kernel.call("rename", 1, r.RenameIn(1, 0, b"f", b"g")) == errno.EACCES
    assert kernel.call("setattr", node, setattr_body(Fattr.MTIME | Fattr.ATIME)) == errno.EACCES
    assert kernel.create(b"new")[1] == errno.EACCES
    assert stat.S_IMODE(kernel.attributes(node)[0]) == 0o440
    assert ("attr", node) in kernel.notices()
    assert kernel.cluster.sent == []


def test_attributes_are_kept_except_while_content_is_on_its_way() -> None:
    kernel = Kernel(b"f")
    node = kernel.look_up(b"f")
    assert kernel.attributes(node)[1:] == (7, 86400)
    fh = kernel.open(node, os.O_WRONLY)
    kernel.write(fh, 7, b"more")
    assert kernel.attributes(node)[1:] == (11, 0)
    kernel.ask("flush", 0, r.FlushIn(fh, 0))
    answer = kernel.session.replies[kernel.ask("getattr", node, r.GetattrIn(0, 0))]
    assert isinstance(answer, bytes)
    assert answer[:8] == bytes(8)  # sent, not delivered
    kernel.cluster.deliver()
    assert kernel.attributes(node)[1:] == (11, 86400)


def test_remote_changes_make_the_kernel_forget_exactly_what_it_knows() -> None:
    kernel = Kernel(b"d/", b"f", b"g")
    kernel.cluster.remote(FsMessage(FsOp.WRITE, b"f", data=b"x"))
    kernel.cluster.remote(FsMessage(FsOp.CREATE, b"d/new"))
    assert kernel.notices() == []  # it knows nothing yet

    f, d = kernel.look_up(b"f"), kernel.look_up(b"d")
    kernel.cluster.remote(FsMessage(FsOp.WRITE, b"f", data=b"y"))
    assert kernel.notices() == [("attr", f)]
    kernel.cluster.remote(FsMessage(FsOp.WRITE, b"f", data=b"yy"))
    assert kernel.notices() == []  # it has not asked since
    kernel.open(f, os.O_RDONLY)
    kernel.cluster.remote(FsMessage(FsOp.WRITE, b"f", data=b"z"))
    assert kernel.notices() == [("data", f)]
    kernel.attributes(f)
    kernel.cluster.remote(FsMessage(FsOp.MTIME, b"f", offset=5))
    assert kernel.notices() == [("attr", f)]

    kernel.ask("lookup", d, r.LookupIn(b"absent"))
    kernel.cluster.remote(FsMessage(FsOp.CREATE, b"d/absent"))
    assert kernel.notices() == [("name", d, b"absent")]
    kernel.ask("readdir", d, r.ReadIn(0, 0, 4096, 0, 0, 0))
    kernel.cluster.remote(FsMessage(FsOp.CREATE, b"d/another"))
    assert kernel.notices() == [("data", d)]

    kernel.cluster.remote(FsMessage(FsOp.RENAME, b"f", b"g"))
    assert ("name", 1, b"f") in kernel.notices()
    g = kernel.look_up(b"g")
    assert g == f
    kernel.cluster.remote(FsMessage(FsOp.DELETE, b"g"))
    assert ("delete", 1, g, b"g") in kernel.notices()


def test_a_directory_is_not_renamed_while_something_is_created_in_it() -> None:
    kernel = Kernel(b"d/", b"target/")
    directory = kernel.look_up(b"d")
    kernel.ask("create", directory, r.CreateIn(os.O_WRONLY | os.O_CREAT, 0o600, 0, 0, b"f"))
    rename = kernel.ask("rename", 1, r.RenameIn(1, 0, b"d", b"target"))
    kernel.cluster.deliver()
    assert kernel.session.replies[rename] == errno.ENOTEMPTY
    assert kernel.tree.lookup(b"target") is not None


def test_own_changes_cause_no_notices() -> None:
    kernel = Kernel(b"d/", b"f")
    kernel.look_up(b"f")
    kernel.call("mkdir", 1, r.MkdirIn(0, 0, b"e"))
    kernel.call("rename", 1, r.RenameIn(1, 0, b"f", b"g"))
    kernel.call("unlink", 1, r.UnlinkIn(b"g"))
    kernel.call("rmdir", 1, r.UnlinkIn(b"e"))
    assert kernel.notices() == []


def test_a_move_into_a_private_place_makes_the_kernel_forget_the_mode() -> None:
    kernel = Kernel(b"priv/", b"f")
    node, priv = kernel.look_up(b"f"), kernel.look_up(b"priv")
    kernel.call("rename", 1, r.RenameIn(priv, 0, b"f", b"f"))
    assert kernel.notices() == [("attr", node)]
    assert stat.S_IMODE(kernel.attributes(node)[0]) == 0o600


def test_a_rename_to_the_same_name_succeeds_and_sends_nothing() -> None:
    kernel = Kernel(b"f")
    rename = kernel.ask("rename", 1, r.RenameIn(1, 0, b"f", b"f"))
    assert kernel.session.replies[rename] == b""
    assert kernel.cluster.sent == []
    assert kernel.call("rename", 1, r.RenameIn(1, 0, b"gone", b"gone")) == errno.ENOENT


def test_a_directory_that_becomes_private_is_not_found_by_its_new_name_with_its_old_mode() -> None:
    kernel = Kernel(b"nodes/", b"nodes/n1/", b"nodes/n1/public/")
    kernel.mount.attach(kernel.session, lambda callback: callback())  # type: ignore[arg-type]
    parent, node = kernel.look_up(b"nodes/n1"), kernel.look_up(b"nodes/n1/public")
    rename = kernel.ask("rename", parent, r.RenameIn(parent, 0, b"public", b"priv"))
    kernel.cluster.deliver()
    assert rename not in kernel.session.replies
    assert kernel.notices() == [("attr", node)]
    assert rename not in kernel.session.replies
    kernel.session.marks.pop()()  # the kernel took it
    assert kernel.session.replies[rename] == b""
    assert stat.S_IMODE(kernel.attributes(node)[0]) == 0o700


def test_a_removed_open_file_stays_a_private_file() -> None:
    kernel = Kernel(b"priv/", b"priv/f")
    node = kernel.look_up(b"priv/f")
    fh = kernel.open(node, os.O_RDWR)
    kernel.cluster.remote(FsMessage(FsOp.DELETE, b"priv/f"))
    assert kernel.attributes(node)[:2] == (stat.S_IFREG | 0o600, 7)
    assert kernel.read(fh) == b"content"
    kernel.ask("release", node, r.ReleaseIn(fh, 0, 0, 0))
    assert kernel.call("getattr", node, r.GetattrIn(0, 0)) == errno.ESTALE


def test_a_file_replaced_behind_the_kernels_back_is_opened_by_its_name() -> None:
    """The kernel looked the name up a moment ago; what it found has been replaced since."""
    kernel = Kernel(b"f", b"copy")
    node = kernel.look_up(b"f")
    kernel.cluster.remote(FsMessage(FsOp.WRITE, b"copy", None, b"new content"))
    kernel.cluster.remote(FsMessage(FsOp.RENAME, b"copy", b"f"))
    fh = kernel.open(node, os.O_RDONLY)
    assert kernel.read(fh) == b"new content"
    assert kernel.attributes(node)[1] == len(b"new content")
    kernel.ask("release", node, r.ReleaseIn(fh, 0, 0, 0))
    kernel.cluster.remote(FsMessage(FsOp.DELETE, b"f"))
    assert kernel.call("open", node, r.OpenIn(os.O_RDONLY, 0)) == errno.ESTALE
    assert kernel.call("getattr", node, r.GetattrIn(0, 0)) == errno.ESTALE


def test_an_answer_waits_until_the_kernel_took_what_was_delivered_before() -> None:
    """Else whoever took a lock could still see a file as it was before."""
    kernel = Kernel(b"d/", b"f")
    kernel.look_up(b"f")
    kernel.mount.attach(kernel.session, lambda callback: callback())  # type: ignore[arg-type]
    waiting = kernel.ask("mkdir", kernel.look_up(b"d"), r.MkdirIn(0o755, 0, b"lock"))
    kernel.cluster.remote(FsMessage(FsOp.WRITE, b"f", None, b"new"))
    kernel.cluster.deliver()
    assert kernel.session.waits(waiting)
    kernel.mount.send_notices()
    assert kernel.session.waits(waiting)
    kernel.session.marks.pop()()  # the kernel took them
    assert isinstance(kernel.session.replies[waiting], bytes)


def test_an_answer_does_not_wait_for_a_notice_that_waits_for_it() -> None:
    kernel = Kernel(b"d/", b"d/f")
    directory = kernel.look_up(b"d")
    kernel.look_up(b"d/f")
    kernel.mount.attach(kernel.session, lambda callback: callback())  # type: ignore[arg-type]
    waiting = kernel.ask("mkdir", directory, r.MkdirIn(0o755, 0, b"new"))
    kernel.cluster.remote(FsMessage(FsOp.DELETE, b"d/f"))
    kernel.session.needed = {directory}  # which the kernel has locked for mkdir
    kernel.cluster.deliver()
    kernel.mount.send_notices()
    assert isinstance(kernel.session.replies[waiting], bytes)


def test_an_answer_waits_for_notices_for_a_second_at_most() -> None:
    kernel = Kernel(b"d/", b"f")
    kernel.look_up(b"f")
    kernel.mount.attach(kernel.session, lambda callback: callback())  # type: ignore[arg-type]
    waiting = kernel.ask("mkdir", kernel.look_up(b"d"), r.MkdirIn(0o755, 0, b"lock"))
    kernel.cluster.remote(FsMessage(FsOp.WRITE, b"f", None, b"new"))
    kernel.cluster.deliver()
    kernel.mount.send_notices()
    kernel.clock += 1.1
    kernel.mount.answer_interrupted()
    assert isinstance(kernel.session.replies[waiting], bytes)
    kernel.session.marks.pop()()  # too late, and harmless


def test_a_new_file_meets_a_known_one_that_another_node_moved_there() -> None:
    """Nobody fails: the file under that name is written, as if it had been there before."""
    kernel = Kernel(b"f")
    known = kernel.look_up(b"f")
    _, _, fh = kernel.create(b"x", os.O_WRONLY | os.O_TRUNC)
    kernel.write(fh, 0, b"mine")
    closing = kernel.ask("flush", 0, r.FlushIn(fh, 0))
    kernel.cluster.remote(FsMessage(FsOp.RENAME, b"f", b"x"))
    kernel.cluster.deliver()
    assert kernel.session.replies[closing] == b""
    entry = kernel.tree.lookup(b"x")
    assert entry is not None
    assert entry.content() == b"mine"
    kernel.write(fh, 4, b", more")
    assert kernel.call("flush", 0, r.FlushIn(fh, 0)) == b""
    assert entry.content() == b"mine, more"
    kernel.ask("release", 0, r.ReleaseIn(fh, 0, 0, 0))
    assert kernel.attributes(known)[1] == entry.size


def test_a_foreign_state_makes_the_kernel_forget_what_differs() -> None:
    kernel = Kernel(b"d/", b"same", b"changed", b"gone")
    same, changed, gone = (kernel.look_up(name) for name in (b"same", b"changed", b"gone"))
    kernel.ask("lookup", 1, r.LookupIn(b"born"))
    other = Kernel(b"d/", b"same", b"changed", b"gone").tree
    other.write(b"changed", 2, NOW, NOW, b"new", 0, True)
    other.delete(b"gone", 2, NOW, NOW)
    other.create(b"born", 2, NOW, NOW)
    other.take_changes()
    kernel.mount.taken_over(kernel.tree, other)
    kernel.cluster.tree = other
    notices = kernel.notices()
    assert ("name", 1, b"gone") in notices
    assert ("name", 1, b"born") in notices
    assert ("attr", changed) in notices
    assert ("name", 1, b"same") not in notices
    assert kernel.attributes(same)[1] == 7
    assert kernel.attributes(changed)[1] == 3
    assert kernel.call("getattr", gone, r.GetattrIn(0, 0)) == errno.ESTALE
    assert kernel.look_up(b"born")


def test_content_of_a_file_that_stays_open_is_sent_after_a_while() -> None:
    kernel = Kernel(b"f")
    fh = kernel.open(kernel.look_up(b"f"), os.O_WRONLY)
    kernel.write(fh, 0, b"x")
    kernel.mount.push_old()
    assert kernel.cluster.sent == []
    kernel.clock = 2.0
    kernel.mount.push_old()
    assert len(kernel.cluster.sent) == 1


def test_appends_go_to_the_present_end() -> None:
    kernel = Kernel(b"f")
    fh = kernel.open(kernel.look_up(b"f"), os.O_WRONLY | os.O_APPEND)
    kernel.cluster.remote(FsMessage(FsOp.WRITE, b"f", data=b" and more", offset=7))
    kernel.write(fh, 7, b"!", os.O_APPEND)
    kernel.call("flush", 0, r.FlushIn(fh, 0))
    entry = kernel.tree.lookup(b"f")
    assert entry is not None
    assert entry.data == b"content and more!"


def test_refused_before_sending() -> None:
    kernel = Kernel(b"nodes/", b"nodes/n1/", b"nodes/n1/lxc/", b"d/", b"d/e/", b"f")
    fh = kernel.open(kernel.look_up(b"f"), os.O_WRONLY)
    assert kernel.call("write", 0, r.WriteIn(fh, 1 << 32, 0, 0, 0, b"x")) == errno.EFBIG
    node = kernel.look_up(b"f")
    assert kernel.call("setattr", node, setattr_body(Fattr.SIZE, size=(1 << 32) + 3)) == errno.EFBIG
    assert kernel.call("rename", 1, r.RenameIn(1, 0, b"d", b"x")) == errno.ENOTEMPTY
    lxc = kernel.look_up(b"nodes/n1/lxc")
    assert kernel.call("mkdir", lxc, r.MkdirIn(0, 0, b"100.conf")) == errno.EACCES
    assert kernel.call("mkdir", 1, r.MkdirIn(0, 0, b".version")) == errno.EACCES
    assert kernel.cluster.sent == []


def test_a_signal_ends_a_wait_only_after_a_while() -> None:
    kernel = Kernel()
    unique = kernel.ask("mkdir", 1, r.MkdirIn(0, 0, b"d"))
    request = r.Request(0, unique, 1, 0, 0, 7, r.MkdirIn(0, 0, b"d"))
    assert kernel.mount.interrupted(request) is None
    kernel.mount.answer_interrupted()
    assert unique not in kernel.session.replies
    kernel.clock = 1.5
    kernel.mount.answer_interrupted()
    assert kernel.session.replies[unique] == errno.EINTR
    kernel.cluster.deliver()
    assert kernel.tree.lookup(b"d") is not None


def test_forgotten_nodes_are_dropped() -> None:
    kernel = Kernel(b"f")
    node = kernel.look_up(b"f")
    kernel.look_up(b"f")
    kernel.ask("forget", node, r.ForgetIn(1))
    assert node in kernel.mount.nodes.by_nodeid
    kernel.ask("forget", node, r.ForgetIn(1))
    assert node not in kernel.mount.nodes.by_nodeid
    assert kernel.look_up(b"f") != node


def test_listings_survive_changes_between_two_reads() -> None:
    kernel = Kernel(*(b"f%d" % number for number in range(100)))
    seen: list[bytes] = []
    offset = 0
    while True:
        data = kernel.bytes_of("readdir", 1, r.ReadIn(0, offset, 512, 0, 0, 0))
        if not data:
            break
        while data:
            offset = int.from_bytes(data[8:16], "little")
            length = int.from_bytes(data[16:20], "little")
            seen.append(data[24 : 24 + length])
            data = data[24 + (length + 7 & ~7) :]
        kernel.cluster.remote(FsMessage(FsOp.DELETE, seen[-1]))
    assert len(seen) == len(set(seen)) == 112
    assert {b".", b"..", b".version", b"local", b"f0", b"f99"} <= set(seen)


def test_a_new_file_is_sent_when_it_is_closed() -> None:
    kernel = Kernel()
    _, answer, fh = kernel.create(b"new")
    assert isinstance(answer, bytes)
    kernel.write(fh, 0, b"text")
    assert kernel.cluster.sent == []
    kernel.ask("flush", 0, r.FlushIn(fh, 0))
    assert [message.op for message, _ in kernel.cluster.sent] == [FsOp.CREATE, FsOp.WRITE]
    assert kernel.cluster.together == [2]


def test_a_new_file_without_content_is_sent_too_and_its_first_attributes_are_forgotten() -> None:
    kernel = Kernel()
    _, answer, fh = kernel.create(b"new")
    assert isinstance(answer, bytes)
    nodeid = ENTRY_HEAD.unpack_from(answer)[0]
    kernel.ask("flush", 0, r.FlushIn(fh, 0))
    assert [message.op for message, _ in kernel.cluster.sent] == [FsOp.CREATE]
    kernel.cluster.deliver()
    assert ("attr", nodeid) in kernel.notices()


def test_mode_and_owner_of_a_new_file_are_kept_for_a_moment() -> None:
    """For size and times the kernel asks after each write; for the rest it would at the next open."""
    kernel = Kernel()
    _, answer, fh = kernel.create(b"new")
    assert isinstance(answer, bytes)
    nodeid, _, _, valid, _, _ = ENTRY_HEAD.unpack_from(answer)
    assert valid == 1
    kernel.write(fh, 0, b"text")
    kernel.ask("flush", 0, r.FlushIn(fh, 0))
    kernel.cluster.deliver()
    assert kernel.notices() == []
    kernel.cluster.remote(FsMessage(FsOp.WRITE, b"new", None, b"theirs", 0, True))
    assert kernel.notices() == [("data", nodeid)]


@pytest.mark.parametrize("delivered", [0, 1, 2])
def test_a_new_files_mode_is_forgotten_when_the_quorum_changes(delivered: int) -> None:
    kernel = Kernel()
    _, answer, fh = kernel.create(b"new")
    assert isinstance(answer, bytes)
    nodeid = ENTRY_HEAD.unpack_from(answer)[0]
    kernel.write(fh, 0, b"text")
    kernel.ask("flush", 0, r.FlushIn(fh, 0))
    kernel.cluster.deliver(delivered)
    kernel.mount.quorum_changed()
    assert ("attr", nodeid) in kernel.notices()


def test_who_looks_at_the_directory_has_new_files_sent() -> None:
    kernel = Kernel()
    kernel.create(b"one")
    kernel.create(b"two")
    unique = kernel.ask("readdir", 1, r.ReadIn(0, 0, 4096, 0, 0, 0))
    assert [message.path for message, _ in kernel.cluster.sent] == [b"one", b"two"]
    assert unique not in kernel.session.replies
    kernel.cluster.deliver()
    answer = kernel.session.replies[unique]
    assert isinstance(answer, bytes)
    assert b"one" in answer
    assert b"two" in answer


def test_a_new_file_that_stays_open_is_sent_after_a_while() -> None:
    kernel = Kernel()
    kernel.create(b"new")
    kernel.clock = 2.0
    kernel.mount.push_old()
    assert [message.op for message, _ in kernel.cluster.sent] == [FsOp.CREATE]


def test_a_new_file_whose_directory_went_tells_close() -> None:
    kernel = Kernel(b"dir/")
    nodeid = kernel.look_up(b"dir")
    unique = kernel.ask("create", nodeid, r.CreateIn(os.O_WRONLY | os.O_CREAT, 0o600, 0, 0, b"new"))
    answer = kernel.session.replies[unique]
    assert isinstance(answer, bytes)
    fh = OPEN_OUT.unpack_from(answer, len(answer) - OPEN_OUT.size)[0]
    kernel.write(fh, 0, b"text")
    kernel.cluster.remote(FsMessage(FsOp.DELETE, b"dir"))
    assert kernel.call("flush", 0, r.FlushIn(fh, 0)) == errno.ENOENT
