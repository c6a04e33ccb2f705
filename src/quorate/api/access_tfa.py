"""``/access/tfa``: second factors of users: TOTP and recovery keys (pvecm 6.7)."""

from __future__ import annotations

import time
from typing import Final

from quorate.access import changes, factor_store
from quorate.access.directory import directory_of
from quorate.access.factors import KINDS, RECOVERY, SUPPORTED, TOTP, Factors
from quorate.access.second_factor import MARKER, Attempts
from quorate.access.store import change_users
from quorate.access.totp import MAX_URI, TotpError, parse_uri
from quorate.api.access_rules import (
    READ_USER,
    SELF_OR_MODIFY,
    USER_PRIVILEGES,
    USERID,
    Caller,
    confirm_password,
    failing,
    holds_on_user,
    looking_up,
)
from quorate.cfs import HeldLock
from quorate.clusterlog import record
from quorate.schema import (
    VERIFICATION_FAILED,
    All,
    ApiError,
    Array,
    Boolean,
    Context,
    Integer,
    Object,
    Operation,
    String,
)
from quorate.settings import Settings

ENTRY: Final = String(
    description="Id of the entry; the recovery keys are one entry, 'recovery'.",
    pattern=r"[a-zA-Z0-9._-]{1,64}",
)
DESCRIPTION: Final = String(
    description="What tells this entry from others, e.g. the device.", optional=True, max_length=255
)
PASSWORD: Final = String(
    description="Password of the user who asks; all but root@pam have to give it.",
    optional=True,
    min_length=5,
    max_length=128,
)


def _index(ctx: Context) -> list[dict[str, object]]:
    caller = Caller(ctx)
    with failing("reading second factors"):
        factors = factor_store.read_factors(ctx.settings)
        attempts = factor_store.read_attempts(ctx.settings)
    return [
        {"userid": user, "entries": _entries(factors, user), **_locked(attempts.get(user, Attempts()))}
        for user in factors.users()
        if user == ctx.user or holds_on_user(caller, user, *USER_PRIVILEGES)
    ]


def _locked(attempts: Attempts) -> dict[str, object]:
    result: dict[str, object] = {}
    if attempts.totp_locked:
        result["totp-locked"] = True
    if attempts.locked_until > time.time():
        result["tfa-locked-until"] = attempts.locked_until
    return result


def _entries(factors: Factors, user: str) -> list[dict[str, object]]:
    return [factor.as_data() for factor in factors.of(user)]


def _of_user(ctx: Context, userid: str) -> list[dict[str, object]]:
    with failing("reading second factors"):
        return _entries(factor_store.read_factors(ctx.settings), userid)


def _one(ctx: Context, userid: str, id: str) -> dict[str, object]:  # noqa: A002
    with failing("reading second factors"):
        return factor_store.read_factors(ctx.settings).find(userid, id).as_data()


def _kinds(ctx: Context, userid: str, multiple: bool = False) -> dict[str, object]:
    with looking_up():
        changes.require_user(directory_of(ctx.settings).users, userid)
    realm = directory_of(ctx.settings).realms.get(userid.rpartition("@")[2])
    with failing("reading second factors"):
        found = factor_store.read_factors(ctx.settings).of(userid)
    result: dict[str, object] = {"types": sorted({factor.kind for factor in found if factor.enable})}
    if found:
        result["user"] = found[0].kind
    if realm is not None and realm.second_factor:
        result["realm"] = realm.second_factor
    return result


def _add(
    ctx: Context,
    userid: str,
    type: str,  # noqa: A002 - the name of the parameter
    description: str = "",
    totp: str | None = None,
    value: str | None = None,
    password: str | None = None,
) -> dict[str, object]:
    if type not in SUPPORTED:
        text = f"second factors of type '{type}' are not supported, possible are {', '.join(SUPPORTED)}"
        raise ApiError(400, VERIFICATION_FAILED, {"type": text})
    confirm_password(ctx, password, "password")
    uri = _checked_uri(totp, value) if type == TOTP else ""
    with (
        failing("adding a second factor"),
        factor_store.change_factors(ctx.settings) as (factors, held),
    ):
        changes.require_user(directory_of(ctx.settings).users, userid)
        if type == TOTP:
            result: dict[str, object] = {"id": factors.add_totp(userid, uri, description, int(time.time()))}
        else:
            result = {"id": RECOVERY, "recovery": factors.add_recovery(userid, int(time.time()))}
        _mark(ctx.settings, held, userid, has_factors=True)
    record(ctx.settings, f"added a second factor ({type}) of user '{userid}'", user=ctx.user)
    return result


def _checked_uri(uri: str | None, code: str | None) -> str:
    """The URI in its one form, once its owner has shown that the device makes the same codes."""
    for name, given in (("totp", uri), ("value", code)):
        if given is None:
            text = "property is missing and it is needed for type 'totp'"
            raise ApiError(400, VERIFICATION_FAILED, {name: text})
    try:
        key = parse_uri(uri or "")
    except TotpError as err:
        raise ApiError(400, VERIFICATION_FAILED, {"totp": str(err)}) from err
    if key.matching_step(code or "", time.time(), None) is None:
        text = "this is not the present code of the TOTP URI: is the clock of the device right?"
        raise ApiError(400, VERIFICATION_FAILED, {"value": text})
    return key.uri()


def _update(
    ctx: Context,
    userid: str,
    id: str,  # noqa: A002 - the name of the parameter
    description: str | None = None,
    enable: bool | None = None,
    password: str | None = None,
) -> None:
    confirm_password(ctx, password, "password")
    with failing("changing a second factor"), factor_store.change_factors(ctx.settings) as (factors, _):
        factors.update(userid, id, description=description, enable=enable)
    record(ctx.settings, f"changed a second factor of user '{userid}'", user=ctx.user)


def _delete(ctx: Context, userid: str, id: str, password: str | None = None) -> None:  # noqa: A002
    confirm_password(ctx, password, "password")
    remove_factor(ctx, userid, id)


def remove_factor(ctx: Context, userid: str, entry_id: str | None) -> None:
    """Forget one factor of a user, or all. Raises `ApiError`."""
    with (
        failing("deleting a second factor"),
        factor_store.change_factors(ctx.settings) as (factors, held),
    ):
        factors.remove(userid, entry_id)
        _mark(ctx.settings, held, userid, has_factors=bool(factors.of(userid)))
    what = "a second factor" if entry_id is not None else "all second factors"
    record(ctx.settings, f"deleted {what} of user '{userid}'", user=ctx.user)


def _mark(settings: Settings, held: HeldLock, userid: str, *, has_factors: bool) -> None:
    """The mark in user.cfg that the user has second factors; other nodes go by it."""
    held.remaining()
    user = directory_of(settings).users.users.get(userid)
    if user is None or (user.keys == MARKER) is has_factors:
        return
    with change_users(settings) as (config, _):
        if userid in config.users:
            config.users[userid].keys = MARKER if has_factors else ""


_ENTRY: Final = Object(
    properties={
        "id": String(),
        "type": String(enum=KINDS),
        "description": String(),
        "created": Integer(description="Seconds since 1970."),
        "enable": Boolean(optional=True, description="0 if it is not asked for."),
    }
)

OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/access/tfa",
        name="list_tfa",
        description="Second factors of all users, and who is locked out.",
        handler=_index,
        returns=Array(
            items=Object(
                properties={
                    "userid": USERID,
                    "entries": Array(items=_ENTRY),
                    "totp-locked": Boolean(optional=True),
                    "tfa-locked-until": Integer(optional=True),
                }
            ),
            link="{userid}",
        ),
        permission=All(
            "Only one's own, and of users on whose groups (or /access/groups) one holds "
            + " or ".join(USER_PRIVILEGES)
            + "."
        ),
        protected=True,
    ),
    Operation(
        method="GET",
        path="/access/tfa/{userid}",
        name="list_user_tfa",
        description="Second factors of a user.",
        handler=_of_user,
        parameters={"userid": USERID},
        returns=Array(items=_ENTRY, link="{id}"),
        permission=READ_USER,
        protected=True,
    ),
    Operation(
        method="POST",
        path="/access/tfa/{userid}",
        name="add_tfa_entry",
        description="Add a second factor. Recovery keys are shown in the answer, and never again.",
        handler=_add,
        parameters={
            "userid": USERID,
            "type": String(description="Kind of the factor.", enum=KINDS),
            "description": DESCRIPTION,
            "totp": String(
                description="The secret, as otpauth URI (otpauth://totp/LABEL?secret=BASE32).",
                optional=True,
                max_length=MAX_URI,
            ),
            "value": String(description="The code that the device shows now.", optional=True, max_length=64),
            "password": PASSWORD,
        },
        returns=Object(
            properties={
                "id": String(),
                "recovery": Array(items=String(), optional=True, description="The recovery keys."),
            }
        ),
        permission=SELF_OR_MODIFY,
        protected=True,
        allow_token=False,
    ),
    Operation(
        method="GET",
        path="/access/tfa/{userid}/{id}",
        name="get_tfa_entry",
        description="One second factor.",
        handler=_one,
        parameters={"userid": USERID, "id": ENTRY},
        returns=_ENTRY,
        permission=READ_USER,
        protected=True,
    ),
    Operation(
        method="PUT",
        path="/access/tfa/{userid}/{id}",
        name="update_tfa_entry",
        description="Change a second factor's description, or whether it is asked for.",
        handler=_update,
        parameters={
            "userid": USERID,
            "id": ENTRY,
            "description": DESCRIPTION,
            "enable": Boolean(description="Whether it is asked for.", optional=True),
            "password": PASSWORD,
        },
        permission=SELF_OR_MODIFY,
        protected=True,
        allow_token=False,
    ),
    Operation(
        method="DELETE",
        path="/access/tfa/{userid}/{id}",
        name="delete_tfa",
        description="Delete a second factor.",
        handler=_delete,
        parameters={"userid": USERID, "id": ENTRY, "password": PASSWORD},
        permission=SELF_OR_MODIFY,
        protected=True,
        allow_token=False,
    ),
    Operation(
        method="GET",
        path="/access/users/{userid}/tfa",
        name="read_user_tfa_type",
        description="Which kinds of second factors a user has.",
        handler=_kinds,
        parameters={
            "userid": USERID,
            "multiple": Boolean(description="Ignored: all kinds are told.", optional=True),
        },
        returns=Object(
            properties={
                "types": Array(items=String()),
                "user": String(optional=True),
                "realm": String(optional=True),
            }
        ),
        permission=READ_USER,
        protected=True,
    ),
]
