"""Logging in with a password, or with a ticket in its place (``POST /access/ticket``; pvecm 6.7, 7.5).

Needs root: PAM, password hashes. May block for seconds. No text of this module holds a password.
"""

from __future__ import annotations

from collections.abc import Callable

from quorate.access import pam
from quorate.access.crypt import CryptError, check_password
from quorate.access.directory import AuthenticationError, Directory
from quorate.access.domains import Realm
from quorate.access.secrets import parse_shadow
from quorate.access.users import ROOT
from quorate.formats import FormatError, parse_user_id
from quorate.settings import Settings

_DUMMY_HASH = "$5$quorate.$WXZNt/.UH0rzDkfJlMfD5q1GVm1MQB8PX3CBQqCWed7"
"""Checked for users without a password, so that the time taken does not tell who exists."""

PamCheck = Callable[[str, str, str], None]


def authenticate(
    settings: Settings,
    directory: Directory,
    username: str,
    password: str,
    client_ip: str = "",
    *,
    pam_check: PamCheck = pam.authenticate,
) -> str:
    """The user id of a good login; raises `AuthenticationError` for any other.

    ``username`` is a full user id. A valid ticket of the same user, or of root@pam, may stand for the
    password.
    """
    try:
        userid, name, realm_name = parse_user_id(username)
    except FormatError as err:
        raise AuthenticationError(str(err).strip()) from err
    realm = directory.realms.get(realm_name)
    if realm is None:
        raise AuthenticationError(f"realm '{realm_name}' does not exist")
    userid = _find_user(directory, userid, realm)
    name = userid.removesuffix(f"@{realm_name}")
    directory.check_account(userid)
    if password.startswith("PVE:"):
        owner = directory.user_of_ticket(password)
        if owner not in (userid, ROOT):
            raise AuthenticationError(f"ticket of '{owner}' cannot renew a login of '{userid}'")
        return userid
    if realm.type == "pam":
        try:
            pam_check(name, password, client_ip)
        except pam.PamError as err:
            raise AuthenticationError(str(err)) from err
    elif realm.type == "pve":
        _check_shadow(settings, name, password)
    else:
        raise AuthenticationError(f"realm '{realm_name}' has the type '{realm.type}', which is not supported")
    return userid


def _find_user(directory: Directory, userid: str, realm: Realm) -> str:
    if realm.case_sensitive or userid in directory.users.users:
        return userid
    found = [known for known in directory.users.users if known.lower() == userid.lower()]
    if len(found) > 1:
        raise AuthenticationError(f"user name '{userid}' is ambiguous in a realm that ignores case")
    return found[0] if found else userid


def _check_shadow(settings: Settings, name: str, password: str) -> None:
    try:
        text = (settings.mountpoint / "priv/shadow.cfg").read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except OSError as err:
        raise AuthenticationError(f"unable to read shadow.cfg: {err.strerror}") from err
    stored = parse_shadow(text).get(name)
    try:
        matches = check_password(password, stored or _DUMMY_HASH)
    except CryptError as err:
        raise AuthenticationError(str(err)) from err
    if not stored:
        raise AuthenticationError("no password set")
    if not matches:
        raise AuthenticationError("invalid credentials")
