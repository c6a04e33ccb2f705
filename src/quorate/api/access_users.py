"""``/access/users``: users of the cluster (pvecm 6.7). Their API tokens are in `access_tokens`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from quorate.access import changes, factor_store
from quorate.access.directory import directory_of
from quorate.access.second_factor import MARKER
from quorate.access.store import (
    change_users,
    forget_password,
    set_password,
    set_token_secrets,
)
from quorate.access.users import User, UserConfig, split_token
from quorate.api.access_login import PASSWORD
from quorate.api.access_rules import (
    ALLOCATE_USER,
    MODIFY_USER,
    MORE_GROUPS,
    NEW_GROUPS,
    NOT_ROOT,
    READ_USER,
    USER_PRIVILEGES,
    USERID,
    Caller,
    failing,
    holds_on_user,
    looking_up,
)
from quorate.clusterlog import record
from quorate.schema import (
    All,
    And,
    ApiError,
    Array,
    Boolean,
    Context,
    Integer,
    Object,
    Operation,
    Parameter,
    String,
)

MAX_TEXT: Final = 2048

ENABLE: Final = Boolean(description="Whether the user may log in.", optional=True, default=True)
EXPIRE: Final = Integer(
    description="When access ends, in seconds since 1970; 0 for never.", optional=True, minimum=0
)
COMMENT: Final = String(description="A comment.", optional=True, max_length=MAX_TEXT)
GROUPS: Final = String(description="Groups of the user.", format="pve-groupid-list", optional=True)
PROFILE: Final[Mapping[str, Parameter]] = {
    "enable": ENABLE,
    "expire": EXPIRE,
    "firstname": String(description="First name.", optional=True, max_length=1024),
    "lastname": String(description="Last name.", optional=True, max_length=1024),
    "email": String(description="E-mail address.", format="email-opt", optional=True, max_length=254),
    "comment": COMMENT,
    "keys": String(
        description="'x' while the user has second factors, which are set up below /access/tfa.",
        optional=True,
        pattern=r"[0-9a-zA-Z!=-]{0,4096}",
    ),
}


def _users(ctx: Context, enabled: bool | None = None, full: bool = False) -> list[dict[str, object]]:
    caller = Caller(ctx)
    config = directory_of(ctx.settings).users
    result = []
    for userid, user in sorted(config.users.items()):
        modify = holds_on_user(caller, userid, "User.Modify")
        if userid != ctx.user and not modify and not holds_on_user(caller, userid, "Sys.Audit"):
            continue
        if enabled is not None and user.enable != enabled:
            continue
        entry: dict[str, object] = {"userid": userid, **_shown(user, secret=modify)}
        entry["realm-type"] = _realm_type(ctx, userid)
        if full:
            entry["groups"] = ",".join(_groups_of(config, userid))
            entry["tokens"] = _tokens_of(config, userid)
        result.append(entry)
    return result


def _shown(user: User, *, secret: bool) -> dict[str, object]:
    entry: dict[str, object] = {"enable": user.enable, "expire": user.expire}
    texts = {
        "firstname": user.firstname,
        "lastname": user.lastname,
        "email": user.email,
        "comment": user.comment,
        # Old entries hold the secret itself there, which reading alone must not give away.
        "keys": user.keys if secret or user.keys == MARKER else "",
    }
    return entry | {name: text for name, text in texts.items() if text}


def _realm_type(ctx: Context, userid: str) -> str:
    realm = directory_of(ctx.settings).realms.get(userid.rpartition("@")[2])
    return realm.type if realm is not None else "unknown"


def _groups_of(config: UserConfig, userid: str) -> list[str]:
    return sorted(name for name, group in config.groups.items() if userid in group.users)


def _tokens_of(config: UserConfig, userid: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for token_id, token in sorted(config.tokens.items()):
        owner, name = split_token(token_id)
        if owner == userid:
            entry: dict[str, object] = {"tokenid": name, "expire": token.expire, "privsep": token.privsep}
            found.append(entry | ({"comment": token.comment} if token.comment else {}))
    return found


def _user(ctx: Context, userid: str) -> dict[str, object]:
    config = directory_of(ctx.settings).users
    with looking_up():
        user = changes.require_user(config, userid)
    modify = holds_on_user(Caller(ctx), userid, "User.Modify")
    tokens = {str(entry.pop("tokenid")): entry for entry in _tokens_of(config, userid)}
    return {**_shown(user, secret=modify), "groups": _groups_of(config, userid), "tokens": tokens}


def _create(
    ctx: Context,
    userid: str,
    password: str | None = None,
    groups: list[str] | None = None,
    **values: object,
) -> None:
    name, _, realm_name = userid.rpartition("@")
    realm = directory_of(ctx.settings).realms.get(realm_name)
    with failing("create user"):
        if realm is None:
            raise changes.ChangeError(f"realm '{realm_name}' does not exist")
        with change_users(ctx.settings) as (config, _held):
            changes.add_user(config, userid, values, groups or [])
            if password is not None:
                set_password(ctx.settings, realm, name, password)
            elif realm.type == "pve":
                # Of one of the same name who was taken out of user.cfg by hand.
                forget_password(ctx.settings, name)
    record(ctx.settings, f"created user '{userid}'", user=ctx.user)


def _update(
    ctx: Context,
    userid: str,
    groups: list[str] | None = None,
    append: bool = False,
    **values: object,
) -> None:
    with failing("update user"), change_users(ctx.settings) as (config, _):
        before = _groups_of(config, userid)
        changes.update_user(config, userid, values, groups, append=append)
        _check_left_groups(ctx, set(before) - set(_groups_of(config, userid)))
    record(ctx.settings, f"changed user '{userid}'", user=ctx.user)


def _check_left_groups(ctx: Context, left: set[str]) -> None:
    """Who manages one group may not take its members out of others, whose rules may also forbid things."""
    caller = Caller(ctx)
    for group in sorted(left):
        if not caller.may(f"/access/groups/{group}", "User.Modify"):
            path = f"/access/groups/{group}, User.Modify"
            raise ApiError(403, f"Permission check failed ({path}): use 'append' to keep the groups")


def _delete(ctx: Context, userid: str) -> None:
    name, _, realm_name = userid.rpartition("@")
    realm = directory_of(ctx.settings).realms.get(realm_name)
    with failing("delete user"), factor_store.change_factors(ctx.settings) as (factors, _held):
        with change_users(ctx.settings) as (config, _):
            tokens = changes.remove_user(config, userid)
        # The user is gone from here on; what is left behind would open nothing.
        factors.remove(userid)
        factor_store.forget_attempts(ctx.settings, userid)
        set_token_secrets(ctx.settings, dict.fromkeys(tokens))
        if realm is not None and realm.type == "pve":
            forget_password(ctx.settings, name)
    record(ctx.settings, f"deleted user '{userid}'", user=ctx.user)


def _unlock(ctx: Context, userid: str) -> bool:
    with failing("unlock user"):
        changes.require_user(directory_of(ctx.settings).users, userid)
        was_locked = factor_store.unlock(ctx.settings, userid)
    record(ctx.settings, f"unlocked the second factor of user '{userid}'", user=ctx.user)
    return was_locked


TOKEN_PROPERTIES: Final[Mapping[str, Parameter]] = {
    "expire": Integer(description="When it ends, in seconds since 1970; 0 for never."),
    "privsep": Boolean(description="It has no more than its own rights, and never more than its user."),
    "comment": String(optional=True),
}
_PROFILE_RESULT: Final[Mapping[str, Parameter]] = {
    **PROFILE,
    "enable": Boolean(description="Whether the user may log in."),
    "expire": Integer(description="When access ends, in seconds since 1970; 0 for never."),
    "email": String(optional=True),
    "keys": String(optional=True),
}

OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/access/users",
        name="index_users",
        description="The users.",
        handler=_users,
        parameters={
            "enabled": Boolean(description="Only users who are, or are not, enabled.", optional=True),
            "full": Boolean(description="With groups and API tokens.", optional=True, default=False),
        },
        returns=Array(
            items=Object(
                properties={
                    "userid": USERID,
                    **_PROFILE_RESULT,
                    "realm-type": String(description="Type of the user's realm."),
                    "groups": String(optional=True, description="The user's groups, joined by commas."),
                    "tokens": Array(
                        optional=True,
                        items=Object(properties={"tokenid": String(), **TOKEN_PROPERTIES}),
                    ),
                }
            ),
            link="{userid}",
        ),
        permission=All(
            "Only the user himself, and users on whose groups (or /access/groups) he holds "
            + " or ".join(USER_PRIVILEGES)
            + "."
        ),
        protected=True,
    ),
    Operation(
        method="POST",
        path="/access/users",
        name="create_user",
        description="Create a user.",
        handler=_create,
        parameters={
            "userid": USERID,
            "password": replace(PASSWORD, optional=True, description="For realms that keep passwords."),
            **PROFILE,
            "groups": GROUPS,
        },
        permission=And(NOT_ROOT, ALLOCATE_USER, NEW_GROUPS),
        protected=True,
    ),
    Operation(
        method="GET",
        path="/access/users/{userid}",
        name="read_user",
        description="One user.",
        handler=_user,
        parameters={"userid": USERID},
        returns=Object(
            properties={
                **_PROFILE_RESULT,
                "groups": Array(items=String()),
                "tokens": Object(additional=Object(properties=TOKEN_PROPERTIES)),
            }
        ),
        permission=READ_USER,
    ),
    Operation(
        method="PUT",
        path="/access/users/{userid}",
        name="update_user",
        description="Change a user.",
        handler=_update,
        parameters={
            "userid": USERID,
            **PROFILE,
            "groups": GROUPS,
            "append": Boolean(
                description="Add to the user's groups instead of replacing them.",
                optional=True,
                requires="groups",
            ),
        },
        permission=And(MODIFY_USER, MORE_GROUPS),
        protected=True,
    ),
    Operation(
        method="DELETE",
        path="/access/users/{userid}",
        name="delete_user",
        description="Delete a user, with API tokens, second factors, memberships and access rules.",
        handler=_delete,
        parameters={"userid": USERID},
        permission=And(NOT_ROOT, ALLOCATE_USER, MODIFY_USER),
        protected=True,
    ),
    Operation(
        method="PUT",
        path="/access/users/{userid}/unlock-tfa",
        name="unlock_tfa",
        description="Open a second factor that is locked after wrong answers.",
        handler=_unlock,
        parameters={"userid": USERID},
        returns=Boolean(description="Whether it was locked."),
        permission=MODIFY_USER,
        protected=True,
    ),
]
