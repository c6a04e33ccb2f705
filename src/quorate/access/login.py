"""Logging in with a password, or with a ticket in its place (``POST /access/ticket``; pvecm 6.7, 7.5).

Needs root: PAM, password hashes. May block for seconds. No text of this module holds a password.
"""

from __future__ import annotations

from collections.abc import Callable

from quorate.access import factor_store, pam, second_factor
from quorate.access.crypt import CryptError, check_password
from quorate.access.directory import AuthenticationError, Directory
from quorate.access.domains import Realm
from quorate.access.factors import FactorError
from quorate.access.second_factor import SecondFactorError
from quorate.access.secrets import parse_shadow
from quorate.access.tickets import LOGIN_PREFIX, TicketError
from quorate.access.users import ROOT
from quorate.cfs import CfsError
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
    allow_ticket: bool = True,
) -> str:
    """The user id of who knows the password; raises `AuthenticationError` for all others.

    ``username`` is a full user id. A valid ticket of the same user, or of root@pam, may stand for the
    password; then no second factor is needed, else see `challenge_of`.
    """
    userid, realm = _known_user(directory, username)
    name = userid.rpartition("@")[0]
    if allow_ticket and is_ticket(password):
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
        raise AuthenticationError(f"logging in to realms of type '{realm.type}' is not supported")
    return userid


def is_ticket(password: str) -> bool:
    """Whether a ticket stands for the password."""
    return password.startswith(f"{LOGIN_PREFIX}:")


def challenge_of(settings: Settings, directory: Directory, user: str) -> dict[str, object] | None:
    """What the user has to show after the password, None for nothing. Raises `AuthenticationError`."""
    entry = directory.users.users.get(user)
    realm = directory.realms.get(user.rpartition("@")[2])
    demanded = realm.second_factor if realm is not None else ""
    try:
        factors = factor_store.read_factors(settings)
        return second_factor.required(factors, user, entry.keys if entry else "", demanded)
    except (FactorError, SecondFactorError, CfsError) as err:
        raise AuthenticationError(str(err)) from err


def check_answer(settings: Settings, user: str, answer: str) -> None:
    """Check ``TYPE:VALUE`` as the second factor. Raises `AuthenticationError`."""
    try:
        factor_store.check(settings, user, answer)
    except SecondFactorError as err:
        raise AuthenticationError(str(err)) from err


def answer_challenge(
    settings: Settings, directory: Directory, username: str, ticket: str, answer: str
) -> str:
    """The second step: the user whose password was shown for ``ticket``. Raises `AuthenticationError`."""
    userid, _ = _known_user(directory, username)
    try:
        directory.keys.verify_challenge_ticket(ticket, userid)
    except TicketError as err:
        raise AuthenticationError(str(err)) from err
    check_answer(settings, userid, answer)
    return userid


def _known_user(directory: Directory, username: str) -> tuple[str, Realm]:
    """The user who is meant and may act, and the realm. Raises `AuthenticationError`."""
    try:
        userid, _name, realm_name = parse_user_id(username)
    except FormatError as err:
        # Without the name: the text goes into the log, and the caller wrote it.
        raise AuthenticationError("malformed user name") from err
    realm = directory.realms.get(realm_name)
    if realm is None:
        raise AuthenticationError(f"realm '{realm_name}' does not exist")
    userid = _find_user(directory, userid, realm)
    directory.check_account(userid)
    return userid, realm


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
