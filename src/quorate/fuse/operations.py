"""What a file system implements: one method for each operation of the kernel. No I/O here.

A method returns at once: the payload of the answer (``replies``), or an errno to refuse with, or None when
the answer comes later by Session.reply or Session.error (or never, for FORGET). Methods that are not
overridden refuse as said at each of them: an ENOSYS often means "do not ask again" to the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EINVAL, ENOSYS, ENOTTY, EOPNOTSUPP
from typing import Any, TypeAlias

from quorate.fuse import requests as r
from quorate.fuse.abi import Opcode

Reply: TypeAlias = bytes | int | None
Handler: TypeAlias = Callable[[r.Request, Any], Reply]


class Operations:
    """Base of a file system. The comments tell what the kernel makes of the default refusal."""

    def lookup(self, request: r.Request, body: r.LookupIn) -> Reply:
        """entry_out or negative_entry."""
        return ENOSYS

    def forget(self, request: r.Request, body: r.ForgetIn) -> None:
        """``nlookup`` lookups of request.nodeid are dropped. Never answered."""

    def batch_forget(self, request: r.Request, body: r.BatchForgetIn) -> None:
        """Several forgets at once. Never answered."""

    def getattr(self, request: r.Request, body: r.GetattrIn) -> Reply:
        """attr_out."""
        return ENOSYS

    def setattr(self, request: r.Request, body: r.SetattrIn) -> Reply:
        """attr_out. chmod, chown, truncate, utimens: see body.valid."""
        return ENOSYS

    def readlink(self, request: r.Request, body: r.NoBody) -> Reply:
        """The target's bytes. EINVAL is what readlink(2) says of anything that is no link."""
        return EINVAL

    def symlink(self, request: r.Request, body: r.SymlinkIn) -> Reply:
        """entry_out. ENOSYS reaches the caller (core 1.11); the kernel asks again each time."""
        return ENOSYS

    def mknod(self, request: r.Request, body: r.MknodIn) -> Reply:
        """entry_out. ENOSYS reaches the caller (core 1.11); the kernel asks again each time."""
        return ENOSYS

    def mkdir(self, request: r.Request, body: r.MkdirIn) -> Reply:
        """entry_out."""
        return ENOSYS

    def unlink(self, request: r.Request, body: r.UnlinkIn) -> Reply:
        """Empty answer."""
        return ENOSYS

    def rmdir(self, request: r.Request, body: r.UnlinkIn) -> Reply:
        """Empty answer."""
        return ENOSYS

    def rename(self, request: r.Request, body: r.RenameIn) -> Reply:
        """Empty answer. Serves RENAME and RENAME2 without flags.

        RENAME2 with flags is refused with EINVAL before it comes here (core 1.11); NOREPLACE on a name that
        exists is EEXIST by the kernel.
        """
        return ENOSYS

    def link(self, request: r.Request, body: r.LinkIn) -> Reply:
        """entry_out. ENOSYS: recent kernels show EPERM and do not ask again (core 1.11)."""
        return ENOSYS

    def open(self, request: r.Request, body: r.OpenIn) -> Reply:
        """open_out. With O_TRUNC in body.flags the file is truncated here.

        ENOSYS would mean: never ask again, every later open succeeds without a message.
        """
        return ENOSYS

    def read(self, request: r.Request, body: r.ReadIn) -> Reply:
        """The bytes, at most body.size; fewer means the end of the file."""
        return ENOSYS

    def write(self, request: r.Request, body: r.WriteIn) -> Reply:
        """write_out."""
        return ENOSYS

    def statfs(self, request: r.Request, body: r.NoBody) -> Reply:
        """statfs_out."""
        return ENOSYS

    def release(self, request: r.Request, body: r.ReleaseIn) -> Reply:
        """Empty answer; nobody sees an error. Comes once per open, after the last close and unmap."""
        return b""

    def fsync(self, request: r.Request, body: r.FsyncIn) -> Reply:
        """Empty answer. ENOSYS: fsync succeeds, never asked again."""
        return ENOSYS

    def setxattr(self, request: r.Request, body: r.SetxattrIn) -> Reply:
        """ENOSYS: EOPNOTSUPP to the caller, never asked again (so for all four)."""
        return ENOSYS

    def getxattr(self, request: r.Request, body: r.GetxattrIn) -> Reply:
        return ENOSYS

    def listxattr(self, request: r.Request, body: r.ListxattrIn) -> Reply:
        return ENOSYS

    def removexattr(self, request: r.Request, body: r.RemovexattrIn) -> Reply:
        return ENOSYS

    def flush(self, request: r.Request, body: r.FlushIn) -> Reply:
        """Empty answer or the error that close(2) returns. ENOSYS: close succeeds, never asked again."""
        return ENOSYS

    def opendir(self, request: r.Request, body: r.OpenIn) -> Reply:
        """open_out. ENOSYS: never asked again; listings are cached, READDIR has fh 0, no RELEASEDIR."""
        return ENOSYS

    def readdir(self, request: r.Request, body: r.ReadIn) -> Reply:
        """dirent records, at most body.size bytes; none at the end. body.offset: of the last record seen."""
        return ENOSYS

    def readdirplus(self, request: r.Request, body: r.ReadIn) -> Reply:
        """direntplus records. Without this method, mount with InitOptions(readdirplus=False)."""
        return ENOSYS

    def releasedir(self, request: r.Request, body: r.ReleaseIn) -> Reply:
        return b""

    def fsyncdir(self, request: r.Request, body: r.FsyncIn) -> Reply:
        """ENOSYS: fsync of directories succeeds, never asked again."""
        return ENOSYS

    def getlk(self, request: r.Request, body: r.LockIn) -> Reply:
        """Never sent: locks are kept by the kernel, for this node alone."""
        return ENOSYS

    def setlk(self, request: r.Request, body: r.LockIn) -> Reply:
        return ENOSYS

    def setlkw(self, request: r.Request, body: r.LockIn) -> Reply:
        return ENOSYS

    def access(self, request: r.Request, body: r.AccessIn) -> Reply:
        """Not sent with default_permissions. ENOSYS: access succeeds, never asked again."""
        return ENOSYS

    def create(self, request: r.Request, body: r.CreateIn) -> Reply:
        """create_out. ENOSYS: never asked again, MKNOD and OPEN come instead."""
        return ENOSYS

    def interrupted(self, request: r.Request) -> Reply:
        """A process that waits for ``request`` got a signal, while the answer is still to come.

        None (default): it goes on waiting; the kernel does not say whether the signal kills, and an operation
        that was sent takes effect whatever the process is told. An errno (EINTR) answers now; a later
        reply to that request is dropped.
        """
        return None

    def bmap(self, request: r.Request, body: r.BmapIn) -> Reply:
        """Block devices only. ENOSYS: never asked again."""
        return ENOSYS

    def destroy(self, request: r.Request, body: r.NoBody) -> Reply:
        """The file system is going away (the kernel sends this for block devices only)."""
        return b""

    def ioctl(self, request: r.Request, body: r.IoctlIn) -> Reply:
        """ENOTTY, what any file says to a command that it does not know (lsattr, FS_IOC_GETFLAGS)."""
        return ENOTTY

    def poll(self, request: r.Request, body: r.PollIn) -> Reply:
        """ENOSYS: always ready, never asked again."""
        return ENOSYS

    def notify_reply(self, request: r.Request, body: r.OpaqueIn) -> None:
        """Answer to a retrieval, which we never ask for. Never answered."""

    def fallocate(self, request: r.Request, body: r.FallocateIn) -> Reply:
        """EOPNOTSUPP to the caller (core 1.11)."""
        return EOPNOTSUPP

    def lseek(self, request: r.Request, body: r.LseekIn) -> Reply:
        """SEEK_DATA, SEEK_HOLE. ENOSYS: the kernel does it by the size, never asked again."""
        return ENOSYS

    def copy_file_range(self, request: r.Request, body: r.CopyFileRangeIn) -> Reply:
        """ENOSYS: the kernel copies by reading and writing, never asked again."""
        return ENOSYS

    def tmpfile(self, request: r.Request, body: r.CreateIn) -> Reply:
        """O_TMPFILE. ENOSYS: EOPNOTSUPP to the caller, never asked again."""
        return ENOSYS

    def statx(self, request: r.Request, body: r.OpaqueIn) -> Reply:
        """ENOSYS: GETATTR is used, never asked again."""
        return ENOSYS

    def syncfs(self, request: r.Request, body: r.OpaqueIn) -> Reply:
        """ENOSYS: syncfs succeeds, never asked again (sent for virtiofs and fuseblk only)."""
        return ENOSYS

    def _rename2(self, request: r.Request, body: r.RenameIn) -> Reply:
        # core 1.11. ENOSYS would look the same to the caller, and the kernel would not ask again.
        return EINVAL if body.flags else self.rename(request, body)

    def _dax(self, request: r.Request, body: r.OpaqueIn) -> Reply:
        return ENOSYS

    def table(self) -> dict[int, Handler]:
        """Handlers by operation code; INIT and INTERRUPT are the session's own."""
        return {
            Opcode.LOOKUP: self.lookup,
            Opcode.FORGET: self.forget,
            Opcode.GETATTR: self.getattr,
            Opcode.SETATTR: self.setattr,
            Opcode.READLINK: self.readlink,
            Opcode.SYMLINK: self.symlink,
            Opcode.MKNOD: self.mknod,
            Opcode.MKDIR: self.mkdir,
            Opcode.UNLINK: self.unlink,
            Opcode.RMDIR: self.rmdir,
            Opcode.RENAME: self.rename,
            Opcode.LINK: self.link,
            Opcode.OPEN: self.open,
            Opcode.READ: self.read,
            Opcode.WRITE: self.write,
            Opcode.STATFS: self.statfs,
            Opcode.RELEASE: self.release,
            Opcode.FSYNC: self.fsync,
            Opcode.SETXATTR: self.setxattr,
            Opcode.GETXATTR: self.getxattr,
            Opcode.LISTXATTR: self.listxattr,
            Opcode.REMOVEXATTR: self.removexattr,
            Opcode.FLUSH: self.flush,
            Opcode.OPENDIR: self.opendir,
            Opcode.READDIR: self.readdir,
            Opcode.RELEASEDIR: self.releasedir,
            Opcode.FSYNCDIR: self.fsyncdir,
            Opcode.GETLK: self.getlk,
            Opcode.SETLK: self.setlk,
            Opcode.SETLKW: self.setlkw,
            Opcode.ACCESS: self.access,
            Opcode.CREATE: self.create,
            Opcode.BMAP: self.bmap,
            Opcode.DESTROY: self.destroy,
            Opcode.IOCTL: self.ioctl,
            Opcode.POLL: self.poll,
            Opcode.NOTIFY_REPLY: self.notify_reply,
            Opcode.BATCH_FORGET: self.batch_forget,
            Opcode.FALLOCATE: self.fallocate,
            Opcode.READDIRPLUS: self.readdirplus,
            Opcode.RENAME2: self._rename2,
            Opcode.LSEEK: self.lseek,
            Opcode.COPY_FILE_RANGE: self.copy_file_range,
            Opcode.SETUPMAPPING: self._dax,
            Opcode.REMOVEMAPPING: self._dax,
            Opcode.SYNCFS: self.syncfs,
            Opcode.TMPFILE: self.tmpfile,
            Opcode.STATX: self.statx,
            Opcode.COPY_FILE_RANGE_64: self.copy_file_range,
        }
