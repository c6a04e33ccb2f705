"""The local IPC of the file system daemon: the wire protocol of libqb's IPC, and a client of it.

The server is in ``quorate.pmxcfs.ipcserver``. Nothing here needs libqb.
"""
