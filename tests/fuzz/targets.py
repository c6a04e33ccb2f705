"""What is fuzzed: one function per target, bytes in. An exception that is not the documented one is a bug.

Pure; the engine is in ``engine``, the inputs are in ``corpus/``, and ``test_fuzz_corpus`` replays them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from quorate.corosync import conf, conf_verify
from quorate.fuse import requests as fuse
from quorate.fuse.errors import ProtocolError
from quorate.ipc import codec
from quorate.pmxcfs import wire
from quorate.pmxcfs.entry import Entry
from quorate.pmxcfs.ipcconnection import Peer, respond
from quorate.pmxcfs.ipcops import Operations
from quorate.pmxcfs.logring import Ring, merge
from quorate.pmxcfs.sync import CommitError, replaced_by
from quorate.pmxcfs.wire import DIRECTORY, REGULAR, FsMessage, FsOp, Update, WireError
from tests.fuzz.machines import database_machine, status_machine
from tests.fuzz.pieces import NOW, Pieces, check_tree, small_tree
from tests.support.ipc_vectors import Fixture

Target = Callable[[bytes], None]


def wire_messages(data: bytes) -> None:
    """Every layout: whatever unpacks, packs to something that unpacks to the same."""
    for layout in (wire.Header, wire.NormalHeader, wire.StateHeader, wire.VerifyRequest, wire.Verify):
        try:
            layout.unpack(data)
        except WireError:
            pass
    for subtype in (*FsOp, 0, 99):
        for kind in (FsMessage, wire.Unlock):
            try:
                message = kind.unpack(subtype, data)
            except WireError:
                continue
            assert kind.unpack(subtype, message.pack()) == message
    try:
        update = Update.unpack(data)
    except WireError:
        return
    assert update.pack() == data


def file_messages(data: bytes) -> None:
    """Messages applied to a tree never raise and never leave a tree that could not be loaded."""
    tree = small_tree()
    pieces = Pieces(data)
    while pieces:
        subtype, writer = pieces.byte() % 10, pieces.byte()
        try:
            message = FsMessage.unpack(subtype, pieces.bytes())
        except WireError:
            continue
        version = tree.root.version
        result = tree.apply(message, writer, NOW + writer, NOW)
        if tree.error:
            return
        assert result < 0 or tree.root.version in (version, version + 1)
        assert result >= 0 or tree.root.version == version, "a refused operation changed the version"
    check_tree(tree)


def index(data: bytes) -> None:
    """Received states: chosen from, compared, and taken over with arbitrary updates."""
    pieces = Pieces(data)
    tree = small_tree()
    own = tree.index()
    state = pieces.bytes()
    updates = []
    while pieces:
        try:
            updates.append(Update.unpack(pieces.bytes()))
        except WireError:
            pass
    try:
        leader, synced = wire.choose_leader({(1, 1): own, (2, 2): state, (3, 3): own})
    except WireError:
        return
    assert leader in synced
    other = wire.Index.unpack(state)
    assert wire.differing(other, [other]) == []
    records = [wire.index_record(inode, digest) for inode, digest in other.digests.items()]
    assert wire.pack_index(*other[:4], records) == state
    try:
        new = replaced_by(tree, own, state, updates, NOW)
    except CommitError:
        assert tree.index() == own, "a failed commit changed the tree"
        return
    assert new.index() == state


def made_index(data: bytes) -> None:
    """A leader whose index fits its updates, as only a wrong or hostile peer sends them."""
    pieces = Pieces(data)
    tree = small_tree()
    own = tree.index()
    updates = []
    while pieces:
        inode, parent, flags, name = pieces.byte(), pieces.byte(), pieces.byte(), pieces.bytes()
        if b"\0" in name:
            continue
        kind = DIRECTORY if flags & 1 else REGULAR
        content = pieces.bytes() if flags & 2 else b""
        updates.append(Update(parent, inode, 20 + flags, 1, NOW, kind, b"" if not inode else name, content))
    digests = dict(wire.Index.unpack(own).digests)
    for update in updates:
        digests[update.inode] = _digest(update)
    version = max([tree.root.version, *(update.version for update in updates if update.inode == 0)])
    records = [wire.index_record(inode, digest) for inode, digest in sorted(digests.items())]
    state = wire.pack_index(version, max(digests), tree.root.writer, tree.root.mtime, records)
    try:
        new = replaced_by(tree, own, state, updates, NOW)
    except CommitError:
        assert tree.index() == own
        return
    check_tree(new)


def _digest(update: Update) -> bytes:
    data = update.data if update.type == REGULAR else None
    entry = Entry(
        update.inode,
        update.parent,
        update.version,
        update.writer,
        update.mtime,
        update.type,
        update.name,
        data,
    )
    return entry.index_record()[8:]


def ipc(data: bytes) -> None:
    """Both halves of the handshake, and requests of a root client and of one that may only read."""
    for unpack in (codec.unpack_hello, codec.unpack_welcome, codec.unpack_response):
        try:
            unpack(data)
        except codec.CodecError:
            pass
    fixture = Fixture()
    sent: list[object] = []
    operations = Operations(fixture.status, lambda: fixture.tree, sent.append)
    before = fixture.tree.index()
    pieces = Pieces(data)
    while pieces:
        read_only = bool(pieces.byte() & 1)
        message = pieces.bytes()
        count = len(sent)
        response = respond(operations, Peer(7, 33, 33, read_only), message, codec.MAX_MESSAGE)
        header = codec.unpack_response(response)
        assert header.error <= 0
        assert header.error == 0 or len(response) == codec.RESPONSE_BYTES
        assert not read_only or len(sent) == count, (
            "a client that may only read has told the cluster something"
        )
    assert fixture.tree.index() == before


def clusterlog(data: bytes) -> None:
    """A log ring of another node, merged with an own one."""
    own = Ring()
    received = Ring.received(len(data + b"....").to_bytes(4, "little") + data)
    if received is None:
        return
    merged, entries = merge([own, received])
    assert len(list(merged.walk())) <= len(entries)
    assert merge([merged])[0].data == merged.data, "merging alone changes the log"
    received.sort()


def corosync_conf(data: bytes) -> None:
    """Parsed, judged, written: the canonical text reads as the same."""
    try:
        parsed = conf.parse(data)
    except conf.ConfError:
        return

    def unknown(name: str) -> list[str]:
        raise OSError(2, "not known", name)

    conf_verify.verify(parsed, unknown)
    for node in parsed.nodes.values():
        conf.node_links(node)
    assert parsed.config_version is None or parsed.config_version >= 0
    try:
        text = conf.write(parsed)
    except conf.ConfError:
        return
    again = conf.parse(text)
    assert again.main == parsed.main
    assert conf.write(again) == text


def fuse_requests(data: bytes) -> None:
    """A request as the kernel, or something that looks like it, sends it."""
    try:
        request = fuse.decode(memoryview(bytearray(data)), len(data))
    except ProtocolError:
        return
    assert fuse.decode(data, len(data)) == request


TARGETS: Final[dict[str, Target]] = {
    "wire": wire_messages,
    "files": file_messages,
    "index": index,
    "commit": made_index,
    "ipc": ipc,
    "machine": database_machine,
    "status": status_machine,
    "clusterlog": clusterlog,
    "conf": corosync_conf,
    "fuse": fuse_requests,
}
