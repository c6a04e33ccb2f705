"""``/access/users/{userid}/token``: API tokens (pvecm 6.7, 7.3). A secret is shown once, when it is made."""

from __future__ import annotations

import uuid
from typing import Final

from quorate.access import changes
from quorate.access.directory import directory_of
from quorate.access.store import change_users, set_token_secret
from quorate.access.users import Token, split_token
from quorate.api.access_rules import (
    READ_TOKENS,
    SELF_OR_MODIFY,
    TOKEN_NAME,
    USERID,
    failing,
    looking_up,
)
from quorate.api.access_users import COMMENT, EXPIRE, TOKEN_PROPERTIES
from quorate.clusterlog import record
from quorate.formats import FormatError, parse_token_id
from quorate.schema import VERIFICATION_FAILED, ApiError, Array, Boolean, Context, Object, Operation, String

_DELETABLE: Final = ("comment", "expire")


def _tokens(ctx: Context, userid: str) -> list[dict[str, object]]:
    config = directory_of(ctx.settings).users
    with looking_up():
        changes.require_user(config, userid)
    return [
        {"tokenid": split_token(token_id)[1], **_info(token)}
        for token_id, token in sorted(config.tokens.items())
        if split_token(token_id)[0] == userid
    ]


def _token(ctx: Context, userid: str, tokenid: str) -> dict[str, object]:
    with looking_up():
        return _info(changes.require_token(directory_of(ctx.settings).users, f"{userid}!{tokenid}"))


def _create(
    ctx: Context,
    userid: str,
    tokenid: str,
    expire: int = 0,
    privsep: bool = True,
    comment: str = "",
) -> dict[str, object]:
    full = _full_id(userid, tokenid)
    secret = str(uuid.uuid4())
    with failing("generating token"), change_users(ctx.settings) as (config, _):
        changes.require_user(config, userid)
        if full in config.tokens:
            raise ApiError(400, VERIFICATION_FAILED, {"tokenid": "Token already exists."})
        config.tokens[full] = Token(expire, privsep, comment)
        # The secret first: a token without one opens nothing, one with an unknown secret might.
        set_token_secret(ctx.settings, full, secret)
    record(ctx.settings, f"created API token '{full}'", user=ctx.user)
    return {"info": _info(config.tokens[full]), "value": secret, "full-tokenid": full}


def _update(
    ctx: Context,
    userid: str,
    tokenid: str,
    expire: int | None = None,
    privsep: bool | None = None,
    comment: str | None = None,
    delete: list[str] | None = None,
    regenerate: bool = False,
) -> dict[str, object]:
    full = _full_id(userid, tokenid)
    unknown = [name for name in delete or [] if name not in _DELETABLE]
    if unknown:
        raise ApiError(400, VERIFICATION_FAILED, {"delete": f"'{unknown[0]}' cannot be deleted"})
    result: dict[str, object] = {}
    with failing("updating token"), change_users(ctx.settings) as (config, _):
        token = changes.require_token(config, full)
        if expire is not None:
            token.expire = expire
        if privsep is not None:
            token.privsep = privsep
        if comment is not None:
            token.comment = comment
        if "comment" in (delete or []):
            token.comment = ""
        if "expire" in (delete or []):
            token.expire = 0
        result |= _info(token)
        if regenerate:
            secret = str(uuid.uuid4())
            set_token_secret(ctx.settings, full, secret)
            result |= {"value": secret, "full-tokenid": full}
    what = "changed and gave a new secret to" if regenerate else "changed"
    record(ctx.settings, f"{what} API token '{full}'", user=ctx.user)
    return result


def _delete(ctx: Context, userid: str, tokenid: str) -> None:
    full = f"{userid}!{tokenid}"
    with failing("deleting token"), change_users(ctx.settings) as (config, _):
        changes.remove_token(config, full)
        set_token_secret(ctx.settings, full, None)
    record(ctx.settings, f"deleted API token '{full}'", user=ctx.user)


def _info(token: Token) -> dict[str, object]:
    info: dict[str, object] = {"expire": token.expire, "privsep": token.privsep}
    return info | ({"comment": token.comment} if token.comment else {})


def _full_id(userid: str, tokenid: str) -> str:
    full = f"{userid}!{tokenid}"
    try:
        parse_token_id(full)
    except FormatError as err:
        raise ApiError(400, VERIFICATION_FAILED, {"tokenid": str(err)}) from err
    return full


_PARAMETERS: Final = {
    "expire": EXPIRE,
    "privsep": Boolean(
        description="Give the token rights of its own (access rules for the token), which count as far as the"
        " user has them too. Without, it may do all that the user may.",
        optional=True,
        default=True,
    ),
    "comment": COMMENT,
}

OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/access/users/{userid}/token",
        name="token_index",
        description="The API tokens of a user.",
        handler=_tokens,
        parameters={"userid": USERID},
        returns=Array(items=Object(properties={"tokenid": String(), **TOKEN_PROPERTIES}), link="{tokenid}"),
        permission=READ_TOKENS,
    ),
    Operation(
        method="GET",
        path="/access/users/{userid}/token/{tokenid}",
        name="read_token",
        description="One API token; not its secret.",
        handler=_token,
        parameters={"userid": USERID, "tokenid": TOKEN_NAME},
        returns=Object(properties=TOKEN_PROPERTIES),
        permission=READ_TOKENS,
    ),
    Operation(
        method="POST",
        path="/access/users/{userid}/token/{tokenid}",
        name="generate_token",
        description="Make an API token. The answer holds its secret, which cannot be shown again.",
        handler=_create,
        parameters={"userid": USERID, "tokenid": TOKEN_NAME, **_PARAMETERS},
        returns=Object(
            properties={
                "full-tokenid": String(description="USER@REALM!TOKENID"),
                "info": Object(properties=TOKEN_PROPERTIES),
                "value": String(description="The secret."),
            }
        ),
        permission=SELF_OR_MODIFY,
        protected=True,
    ),
    Operation(
        method="PUT",
        path="/access/users/{userid}/token/{tokenid}",
        name="update_token_info",
        description="Change an API token, or give it a new secret.",
        handler=_update,
        parameters={
            "userid": USERID,
            "tokenid": TOKEN_NAME,
            **_PARAMETERS,
            "delete": String(
                description="Settings to set back: comment, expire.", format="string-list", optional=True
            ),
            "regenerate": Boolean(
                description="Make a new secret, which the answer holds; the old one is worth nothing then.",
                optional=True,
                default=False,
            ),
        },
        returns=Object(
            properties={
                **TOKEN_PROPERTIES,
                "full-tokenid": String(optional=True, description="USER@REALM!TOKENID"),
                "value": String(optional=True, description="The new secret."),
            }
        ),
        permission=SELF_OR_MODIFY,
        protected=True,
    ),
    Operation(
        method="DELETE",
        path="/access/users/{userid}/token/{tokenid}",
        name="remove_token",
        description="Delete an API token.",
        handler=_delete,
        parameters={"userid": USERID, "tokenid": TOKEN_NAME},
        permission=SELF_OR_MODIFY,
        protected=True,
    ),
]
