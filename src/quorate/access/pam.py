"""Checking a password with the host's PAM, service ``proxmox-ve-auth`` (pvecm 7.5).

Blocks for as long as the modules want (a wrong password: seconds). Call it in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from cffi import FFI

SERVICE: Final = "proxmox-ve-auth"
_LIBRARY = "libpam.so.0"
_SUCCESS = 0
_BUFFER_ERROR = 5
_CONVERSATION_ERROR = 19
_PROMPT_ECHO_OFF = 1
_PROMPT_ECHO_ON = 2
_RHOST = 4
_MAX_MESSAGES = 32
"""PAM_MAX_NUM_MSG of Linux-PAM."""

_DECLARATIONS = """
struct pam_message { int msg_style; const char *msg; };
struct pam_response { char *resp; int resp_retcode; };
struct pam_conv {
    int (*conv)(int num_msg, const struct pam_message **msg, struct pam_response **resp, void *appdata_ptr);
    void *appdata_ptr;
};
typedef struct pam_handle pam_handle_t;
int pam_start_confdir(const char *service, const char *user, const struct pam_conv *conv,
                      const char *confdir, pam_handle_t **pamh);
int pam_end(pam_handle_t *pamh, int status);
int pam_set_item(pam_handle_t *pamh, int item, const void *value);
int pam_authenticate(pam_handle_t *pamh, int flags);
int pam_acct_mgmt(pam_handle_t *pamh, int flags);
const char *pam_strerror(pam_handle_t *pamh, int error);
void *calloc(size_t count, size_t size);
char *strdup(const char *text);
"""


class PamError(Exception):
    """PAM refused, or cannot be used; the text is PAM's, for the log."""


def authenticate(user: str, password: str, client_ip: str = "", *, confdir: str | None = None) -> None:
    """Raise `PamError` unless password and account are good. Every prompt is answered with the password.

    ``confdir`` stands for /etc/pam.d.
    """
    if not password:
        raise PamError("empty password refused")
    if "\0" in password or "\0" in user:
        raise PamError("NUL byte in user name or password")
    ffi, pam, libc = _load()
    secret = ffi.new("char[]", password.encode("utf-8", "surrogatepass"))

    def converse(count: int, messages: Any, responses: Any, _data: Any) -> int:
        if not 0 < count <= _MAX_MESSAGES:
            return _CONVERSATION_ERROR
        # The module frees the answers: they must come from malloc.
        answers = ffi.cast("struct pam_response *", libc.calloc(count, ffi.sizeof("struct pam_response")))
        if answers == ffi.NULL:
            return _BUFFER_ERROR
        for index in range(count):
            if messages[index].msg_style in (_PROMPT_ECHO_OFF, _PROMPT_ECHO_ON):
                answers[index].resp = libc.strdup(secret)
        responses[0] = answers
        return _SUCCESS

    callback = ffi.callback(
        "int(int, const struct pam_message **, struct pam_response **, void *)",
        converse,
        error=_CONVERSATION_ERROR,
    )
    conversation = ffi.new("struct pam_conv *", {"conv": callback, "appdata_ptr": ffi.NULL})
    handle = ffi.new("pam_handle_t **")
    directory = ffi.NULL if confdir is None else ffi.new("char[]", confdir.encode())
    code = pam.pam_start_confdir(SERVICE.encode(), user.encode(), conversation, directory, handle)
    if code != _SUCCESS:
        raise PamError(f"unable to start PAM service {SERVICE} (error {code})")
    try:
        host = ffi.new("char[]", client_ip.encode()) if client_ip else None
        steps: list[Callable[[], int]] = []
        if host is not None:
            steps.append(lambda: pam.pam_set_item(handle[0], _RHOST, host))
        steps.append(lambda: pam.pam_authenticate(handle[0], 0))
        steps.append(lambda: pam.pam_acct_mgmt(handle[0], 0))
        for step in steps:
            code = step()
            if code != _SUCCESS:
                text = ffi.string(pam.pam_strerror(handle[0], code)).decode("utf-8", "replace")
                raise PamError(f"PAM: {text}")
    finally:
        pam.pam_end(handle[0], code)
        ffi.memmove(secret, bytes(len(secret)), len(secret))


@cache
def _load() -> tuple[Any, Any, Any]:
    ffi = FFI()
    ffi.cdef(_DECLARATIONS)
    try:
        return ffi, ffi.dlopen(_LIBRARY), ffi.dlopen(None)
    except OSError as err:
        raise PamError(f"unable to load {_LIBRARY}: install the package libpam0g") from err
