"""Logging in: tickets, the second step, console tickets, passwords (pvecm 6.7, 7.1, 7.5)."""

from __future__ import annotations

import logging
from typing import Final

from quorate.access import permissions
from quorate.access.changes import require_user
from quorate.access.consoles import require_privileges, verify_console
from quorate.access.directory import AuthenticationError, Directory, directory_of
from quorate.access.login import answer_challenge, authenticate, challenge_of, check_answer, is_ticket
from quorate.access.rotation import rotate_if_due
from quorate.access.store import change_users, set_password
from quorate.api.access_rules import (
    ALLOCATE_USER,
    CONFIRMATION,
    MODIFY_USER,
    NOT_ROOT,
    USERID,
    confirm_password,
    failing,
)
from quorate.api.protocol import one_line, one_word
from quorate.cfs import Cfs, CfsError
from quorate.clusterlog import record
from quorate.formats import split_list
from quorate.schema import (
    NULL,
    WORLD,
    And,
    ApiError,
    Boolean,
    Context,
    Integer,
    Object,
    Operation,
    Or,
    Self,
    String,
)

_log = logging.getLogger(__name__)

MAX_PASSWORD: Final = 4096
"""A ticket may stand for the password."""
INVALID_CONSOLE_TICKET: Final = "permission denied - invalid PVEVNC ticket"
PASSWORD: Final = String(description="The new password.", min_length=8, max_length=64)


def _nothing(ctx: Context) -> None:
    return None


def _create_ticket(
    ctx: Context,
    username: str,
    password: str,
    realm: str | None = None,
    otp: str | None = None,
    path: str | None = None,
    privs: str | None = None,
    tfa_challenge: str | None = None,
    **_ignored: object,
) -> dict[str, object]:
    directory = directory_of(ctx.settings)
    full = f"{username}@{realm}" if realm else username
    challenge = None
    try:
        if tfa_challenge is not None:
            user = answer_challenge(ctx.settings, directory, full, tfa_challenge, password)
        else:
            user = authenticate(ctx.settings, directory, full, password, ctx.client_ip)
            if not is_ticket(password):
                challenge = _challenge(ctx, directory, user, otp)
        if path is not None or privs is not None:
            if challenge is not None:
                raise AuthenticationError("the user has a second factor, which was not shown")
            require_privileges(directory, user, path or "/", split_list(privs or ""))
            return {"username": user, "cap": permissions.capabilities(directory.users, user)}
    except AuthenticationError as err:
        log_refusal(ctx, full, err)
        raise ApiError(401, "authentication failure") from err
    _rotate_key(ctx)
    csrf = directory.keys.csrf_token(user)
    if challenge is not None:
        ticket = directory.keys.challenge_ticket(user, challenge)
        return {"username": user, "ticket": ticket, "CSRFPreventionToken": csrf, "NeedTFA": 1}
    result: dict[str, object] = {
        "username": user,
        "ticket": directory.keys.login_ticket(user),
        "CSRFPreventionToken": csrf,
        "cap": permissions.capabilities(directory.users, user),
    }
    if directory.may(user, "/", "Sys.Audit") and (name := _cluster_name(ctx)) is not None:
        result["clustername"] = name
    record(ctx.settings, f"successful auth for user '{user}'", user=user)
    return result


def log_refusal(ctx: Context, name: str, err: Exception) -> None:
    """The line of the log from which programs learn which addresses to ban."""
    _log.warning(
        "authentication failure; rhost=%s user=%s msg=%s", ctx.client_ip, one_word(name), one_line(str(err))
    )


def _challenge(ctx: Context, directory: Directory, user: str, otp: str | None) -> dict[str, object] | None:
    """What is still to be shown. A code that came with the password is checked at once."""
    challenge = challenge_of(ctx.settings, directory, user)
    if challenge is None or otp is None:
        return challenge
    check_answer(ctx.settings, user, otp if ":" in otp else f"totp:{otp}")
    return None


def _rotate_key(ctx: Context) -> None:
    try:
        if rotate_if_due(ctx.settings):
            _log.info("made a new key for signing tickets")
    except CfsError as err:
        _log.warning("unable to renew the key that signs tickets: %s", err)


def _cluster_name(ctx: Context) -> str | None:
    try:
        return Cfs(ctx.settings).members().cluster
    except CfsError:
        return None


def _verify_console(
    ctx: Context, authid: str, vncticket: str, path: str, privs: str, port: int | None = None
) -> None:
    try:
        verify_console(directory_of(ctx.settings), authid, vncticket, path, split_list(privs), port)
    except AuthenticationError as err:
        log_refusal(ctx, authid, err)
        raise ApiError(401, INVALID_CONSOLE_TICKET) from err


def _change_password(
    ctx: Context, userid: str, password: str, confirmation_password: str | None = None
) -> None:
    confirm_password(ctx, confirmation_password)
    directory = directory_of(ctx.settings)
    # Under the lock of the users, so that this one is not deleted in between.
    with failing("change password"), change_users(ctx.settings, write=False) as (config, _):
        require_user(config, userid)
        name, _mark, realm = userid.rpartition("@")
        set_password(ctx.settings, directory.realms.get(realm), name, password)
    record(ctx.settings, f"changed the password of user '{userid}'", user=ctx.user)


_CAP: Final = Object(
    description="Privileges that the user holds anywhere, by area; for showing what may be used.",
    additional=Object(additional=Boolean()),
)
_TICKET: Final = Object(
    properties={
        "username": String(description="Full user id."),
        "ticket": String(optional=True, description="The ticket, or with NeedTFA the challenge."),
        "CSRFPreventionToken": String(optional=True, description="To be sent with every change."),
        "cap": Object(optional=True, description=_CAP.description, additional=_CAP.additional),
        "clustername": String(optional=True, description="Name of the cluster, with Sys.Audit on /."),
        "NeedTFA": Boolean(optional=True, description="The ticket only asks for a second factor."),
    }
)

OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/access/ticket",
        name="get_ticket",
        description="Nothing; for login pages that only ask whether the API is there.",
        handler=_nothing,
        returns=NULL,
        permission=WORLD,
    ),
    Operation(
        method="POST",
        path="/access/ticket",
        name="create_ticket",
        description="Log in: a ticket and the token against cross-site requests, for two hours.",
        handler=_create_ticket,
        parameters={
            "username": String(description="User name, with or without its realm.", max_length=64),
            "realm": String(
                description="The realm, if the name has none.", format="pve-realm", optional=True
            ),
            "password": String(
                description="The password, or a valid ticket of the same user; with 'tfa-challenge' the"
                " answer, 'totp:CODE' or 'recovery:KEY'.",
                max_length=MAX_PASSWORD,
            ),
            "otp": String(
                description="TOTP code (or TYPE:ANSWER), to log in at once with a second factor.",
                optional=True,
                max_length=64,
            ),
            "path": String(description="Only verify, with 'privs': path.", optional=True, requires="privs"),
            "privs": String(
                description="Only verify, with 'path': privileges.", optional=True, requires="path"
            ),
            "new-format": Boolean(description="Ignored.", optional=True),
            "tfa-challenge": String(
                description="Ticket of the first step of a login.", optional=True, max_length=MAX_PASSWORD
            ),
        },
        returns=_TICKET,
        permission=WORLD,
        protected=True,
        allow_token=False,
    ),
    Operation(
        method="POST",
        path="/access/vncticket",
        name="verify_vnc_ticket",
        description="Verify a console ticket and the privileges that go with it.",
        handler=_verify_console,
        parameters={
            "authid": String(description="User or full id of an API token.", max_length=128),
            "vncticket": String(description="The console ticket.", max_length=MAX_PASSWORD),
            "path": String(description="The path that the ticket is for.", max_length=256),
            "privs": String(description="Privileges needed on it.", max_length=1024),
            "port": Integer(
                description="The port that the ticket is for.", optional=True, minimum=0, maximum=65535
            ),
        },
        permission=WORLD,
        protected=True,
    ),
    Operation(
        method="PUT",
        path="/access/password",
        name="change_password",
        description="Change a password; of realm pam, on this node alone.",
        handler=_change_password,
        parameters={
            "userid": USERID,
            "password": PASSWORD,
            "confirmation-password": CONFIRMATION,
        },
        permission=Or(Self(), And(NOT_ROOT, ALLOCATE_USER, MODIFY_USER)),
        protected=True,
        allow_token=False,
    ),
]
