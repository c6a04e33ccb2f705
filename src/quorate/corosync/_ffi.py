"""The C declarations of Corosync's client libraries (3.x) and their lazy loading.

cffi in ABI mode: no compiler, no headers on the host. Only what the modules beside use is declared.
"""

from __future__ import annotations

from typing import Any, Final

from cffi import FFI

from .errors import MissingLibraryError

PACKAGES: Final = {
    "libcpg.so.4": "libcpg4",
    "libquorum.so.5": "libquorum5",
    "libvotequorum.so.8": "libvotequorum8",
    "libcmap.so.4": "libcmap4",
    "libcfg.so.7": "libcfg7",
}
"""Soname → Debian package. The major numbers are those whose layouts stand below."""

ffi: Final[Any] = FFI()
ffi.cdef(
    """
struct iovec { void *iov_base; size_t iov_len; };

/* cpg.h */
struct cpg_address { uint32_t nodeid; uint32_t pid; uint32_t reason; };
struct cpg_name { uint32_t length; char value[128]; };
typedef void (*cpg_deliver_fn_t)(uint64_t handle, const struct cpg_name *group,
    uint32_t nodeid, uint32_t pid, void *msg, size_t msg_len);
typedef void (*cpg_confchg_fn_t)(uint64_t handle, const struct cpg_name *group,
    const struct cpg_address *member, size_t members,
    const struct cpg_address *left, size_t lefts,
    const struct cpg_address *joined, size_t joineds);
typedef struct { cpg_deliver_fn_t deliver; cpg_confchg_fn_t confchg; } cpg_callbacks_t;
int cpg_initialize(uint64_t *handle, cpg_callbacks_t *callbacks);
int cpg_finalize(uint64_t handle);
int cpg_fd_get(uint64_t handle, int *fd);
int cpg_dispatch(uint64_t handle, int flags);
int cpg_join(uint64_t handle, const struct cpg_name *group);
int cpg_leave(uint64_t handle, const struct cpg_name *group);
int cpg_mcast_joined(uint64_t handle, int guarantee, const struct iovec *iovec, unsigned int iov_len);
int cpg_local_get(uint64_t handle, unsigned int *nodeid);
int cpg_max_atomic_msgsize_get(uint64_t handle, uint32_t *size);
int cpg_flow_control_state_get(uint64_t handle, int *enabled);

/* quorum.h */
typedef void (*quorum_notification_fn_t)(uint64_t handle, uint32_t quorate, uint64_t ring_seq,
    uint32_t entries, uint32_t *view);
typedef struct { quorum_notification_fn_t notify; } quorum_callbacks_t;
int quorum_initialize(uint64_t *handle, quorum_callbacks_t *callbacks, uint32_t *quorum_type);
int quorum_finalize(uint64_t handle);
int quorum_fd_get(uint64_t handle, int *fd);
int quorum_dispatch(uint64_t handle, int flags);
int quorum_getquorate(uint64_t handle, int *quorate);
int quorum_trackstart(uint64_t handle, unsigned int flags);

/* votequorum.h */
struct votequorum_info {
    unsigned int node_id; unsigned int node_state; unsigned int node_votes;
    unsigned int node_expected_votes; unsigned int highest_expected; unsigned int total_votes;
    unsigned int quorum; unsigned int flags; unsigned int qdevice_votes; char qdevice_name[255];
};
int votequorum_initialize(uint64_t *handle, void *callbacks);
int votequorum_finalize(uint64_t handle);
int votequorum_fd_get(uint64_t handle, int *fd);
int votequorum_dispatch(uint64_t handle, int flags);
int votequorum_getinfo(uint64_t handle, unsigned int nodeid, struct votequorum_info *info);
int votequorum_setexpected(uint64_t handle, unsigned int expected);

/* cmap.h */
struct cmap_notify_value { int type; size_t len; const void *data; };
typedef void (*cmap_notify_fn_t)(uint64_t handle, uint64_t track, int32_t event, const char *key,
    struct cmap_notify_value new_value, struct cmap_notify_value old_value, void *user_data);
int cmap_initialize_map(uint64_t *handle, int map);
int cmap_finalize(uint64_t handle);
int cmap_fd_get(uint64_t handle, int *fd);
int cmap_dispatch(uint64_t handle, int flags);
int cmap_get(uint64_t handle, const char *key, void *value, size_t *len, int *type);
int cmap_set(uint64_t handle, const char *key, const void *value, size_t len, int type);
int cmap_delete(uint64_t handle, const char *key);
int cmap_iter_init(uint64_t handle, const char *prefix, uint64_t *iter);
int cmap_iter_next(uint64_t handle, uint64_t iter, char key[], size_t *len, int *type);
int cmap_iter_finalize(uint64_t handle, uint64_t iter);
int cmap_track_add(uint64_t handle, const char *key, int32_t type, cmap_notify_fn_t notify,
    void *user_data, uint64_t *track);
int cmap_track_delete(uint64_t handle, uint64_t track);

/* cfg.h */
struct corosync_knet_link_status_v1 {
    uint8_t enabled; uint8_t connected; uint8_t dynconnected; unsigned int mtu;
    char src_ipaddr[256]; char dst_ipaddr[256];
};
struct corosync_cfg_node_status_v1 {
    int version; unsigned int nodeid; uint8_t reachable; uint8_t remote; uint8_t external;
    uint8_t onwire_min; uint8_t onwire_max; uint8_t onwire_ver;
    struct corosync_knet_link_status_v1 link_status[8];
};
int corosync_cfg_initialize(uint64_t *handle, const void *callbacks);
int corosync_cfg_finalize(uint64_t handle);
int corosync_cfg_fd_get(uint64_t handle, int *fd);
int corosync_cfg_dispatch(uint64_t handle, int flags);
int corosync_cfg_node_status_get(uint64_t handle, unsigned int nodeid, int version, void *status);
int corosync_cfg_kill_node(uint64_t handle, unsigned int nodeid, const char *reason);
int corosync_cfg_local_get(uint64_t handle, unsigned int *nodeid);
int corosync_cfg_reload_config(uint64_t handle);
"""
)

_loaded: dict[str, Any] = {}


def library(soname: str) -> Any:
    """The client library ``soname``, loaded at first use; raises MissingLibraryError."""
    loaded = _loaded.get(soname)
    if loaded is None:
        try:
            loaded = ffi.dlopen(soname)
        except OSError as error:
            package = PACKAGES.get(soname, "(unknown)")
            raise MissingLibraryError(
                f"cannot load {soname} ({error}): install it with 'apt-get install {package}'"
            ) from error
        _loaded[soname] = loaded
    return loaded
