"""What this node must not send: refused before a message is made, for the whole cluster's sake.

Receivers stay as the original, because replicas must agree (weaknesses W8-W12 of core 9). Pure functions over
the tree as it is now: 0, or -errno. They do not repeat what every receiver decides alike (ENOENT, EEXIST).
"""

from __future__ import annotations

from errno import EACCES, EFBIG, EINVAL, EISDIR, ENOSPC, ENOTDIR, ENOTEMPTY

from quorate.pmxcfs.entry import DIRECTORY
from quorate.pmxcfs.paths import GUEST_DIRECTORIES, guest_config, is_node_name, split_path
from quorate.pmxcfs.tree import MAX_ENTRIES, MAX_FILE_SIZE, MAX_TOTAL_SIZE, Tree


def precheck_mkdir(tree: Tree, path: bytes) -> int:
    """ENOSPC at the limit of entries; EACCES for a directory called like a guest's configuration (W10)."""
    if len(tree) >= MAX_ENTRIES:
        return -ENOSPC
    return -EACCES if guest_config(path) is not None else 0


def precheck_create(tree: Tree, path: bytes) -> int:
    """ENOSPC at the limit of entries; EACCES for a file in the place of a kind directory (W10)."""
    if len(tree) >= MAX_ENTRIES:
        return -ENOSPC
    return -EACCES if is_kind_directory(path) else 0


def precheck_write(tree: Tree, path: bytes, offset: int, count: int) -> int:
    """EFBIG above 1 MiB, before the offset is cut to 32 bits (W11); ENOSPC when all would pass 128 MiB."""
    if offset < 0 or count < 0:
        return -EINVAL
    end = offset + count
    if end > MAX_FILE_SIZE:
        return -EFBIG
    entry = tree.lookup(path)
    size = 0 if entry is None else entry.size
    if end > size and tree.total_size + end - size > MAX_TOTAL_SIZE:
        return -ENOSPC
    return 0


def precheck_truncate(tree: Tree, path: bytes, size: int) -> int:
    """As precheck_write for the new size."""
    return precheck_write(tree, path, size, 0)


def precheck_delete(tree: Tree, path: bytes) -> int:
    """ENOTEMPTY for a directory with entries; EACCES where rmdir would unregister a living guest (W10)."""
    entry = tree.lookup(path)
    if entry is None:
        return 0
    if entry.children:
        return -ENOTEMPTY
    if entry.type == DIRECTORY:
        guest = guest_config(path)
        if guest is not None and tree.guests.get(guest.vmid) is not None:
            return -EACCES
    return 0


def precheck_rename(tree: Tree, path: bytes, to: bytes) -> int:
    """ENOTEMPTY for directories with entries (W9), EINVAL onto or into itself, EACCES for names of W10."""
    entry = tree.lookup(path)
    if entry is None:
        return 0
    if entry.children:
        return -ENOTEMPTY
    target = tree.lookup(to)
    if target is entry:
        return -EINVAL
    if entry.type == DIRECTORY:
        if tree.lookup(split_path(to)[0]) is entry:
            return -EINVAL
        if guest_config(to) is not None:
            return -EACCES
    elif is_kind_directory(to):
        return -EACCES
    if target is None:
        return 0
    # Receivers do not compare types; the kernel does, unless another node was faster.
    if target.type != entry.type:
        return -ENOTDIR if entry.type == DIRECTORY else -EISDIR
    return -ENOTEMPTY if target.children else 0


def is_kind_directory(path: bytes) -> bool:
    """Whether ``path`` is one of the directories of guest configurations, ``nodes/<node>/<kind>``."""
    if not path.startswith(b"nodes/"):  # the usual case of the hot path
        return False
    parts = path.split(b"/")
    return (
        len(parts) == 3 and parts[0] == b"nodes" and parts[2] in GUEST_DIRECTORIES and is_node_name(parts[1])
    )
