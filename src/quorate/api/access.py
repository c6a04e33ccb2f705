"""``/access``: realms, and logging in (pvecm 6.7)."""

from __future__ import annotations

import json
import logging
from typing import Final

from quorate.access import permissions
from quorate.access.directory import AuthenticationError, Directory, directory_of
from quorate.access.login import authenticate
from quorate.access.rotation import rotate_if_due
from quorate.access.users import normalize_path
from quorate.cfs import Cfs, CfsError
from quorate.formats import split_list
from quorate.schema import WORLD, ApiError, Boolean, Context, Operation, String

_log = logging.getLogger(__name__)

MAX_PASSWORD: Final = 4096
"""A ticket may stand for the password."""


def _domains(ctx: Context) -> list[dict[str, object]]:
    result = []
    for name, realm in directory_of(ctx.settings).realms.items():
        entry: dict[str, object] = {"realm": name, "type": realm.type, "comment": realm.comment}
        if realm.options.get("default") == "1":
            entry["default"] = 1
        if "tfa" in realm.options:
            entry["tfa"] = realm.options["tfa"].split(",")[0].removeprefix("type=")
        result.append(entry)
    return result


def _nothing(ctx: Context) -> None:
    return None


def _create_ticket(
    ctx: Context,
    username: str,
    password: str,
    realm: str | None = None,
    path: str | None = None,
    privs: str | None = None,
    tfa_challenge: str | None = None,
    **_ignored: object,
) -> dict[str, object]:
    directory = directory_of(ctx.settings)
    full = f"{username}@{realm}" if realm else username
    try:
        if tfa_challenge is not None:
            raise AuthenticationError("second factors are not supported")
        user = authenticate(ctx.settings, directory, full, password, ctx.client_ip)
        _refuse_second_factor(ctx, directory, user)
        if path is not None or privs is not None:
            _check_privileges(directory, user, path or "/", privs or "")
            return {"username": user, "cap": permissions.capabilities(directory.users, user)}
    except AuthenticationError as err:
        _log.warning("authentication failure; rhost=%s user=%s msg=%s", ctx.client_ip, full, err)
        raise ApiError(401, "authentication failure") from err
    _rotate_key(ctx)
    result: dict[str, object] = {
        "username": user,
        "ticket": directory.keys.login_ticket(user),
        "CSRFPreventionToken": directory.keys.csrf_token(user),
        "cap": permissions.capabilities(directory.users, user),
    }
    if directory.may(user, "/", "Sys.Audit") and (name := _cluster_name(ctx)) is not None:
        result["clustername"] = name
    _log.info("successful auth for user '%s'", user)
    return result


def _refuse_second_factor(ctx: Context, directory: Directory, user: str) -> None:
    """Whoever has set up a second factor must not get in with the password alone."""
    try:
        factors = json.loads((ctx.settings.mountpoint / "priv/tfa.cfg").read_bytes() or b"{}")
    except FileNotFoundError:
        factors = {}
    except ValueError as err:
        raise AuthenticationError("priv/tfa.cfg cannot be read as JSON") from err
    entry = directory.users.users.get(user)
    listed = isinstance(factors, dict) and bool(factors.get("users", {}).get(user))
    if listed or (entry is not None and entry.keys):
        raise AuthenticationError("the user has a second factor, which is not supported yet")


def _check_privileges(directory: Directory, user: str, path: str, privs: str) -> None:
    normal = normalize_path(path)
    wanted = split_list(privs)
    if normal is None or not wanted or not all(directory.may(user, normal, name) for name in wanted):
        raise AuthenticationError(f"no permission ({path}, {privs})")


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


OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/access/domains",
        name="index_domains",
        description="The realms one can log in to.",
        handler=_domains,
        returns="array",
        permission=WORLD,
    ),
    Operation(
        method="GET",
        path="/access/ticket",
        name="get_ticket",
        description="Nothing; for login pages that only ask whether the API is there.",
        handler=_nothing,
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
                description="The password, or a valid ticket of the same user.", max_length=MAX_PASSWORD
            ),
            "otp": String(description="One-time password (not supported).", optional=True),
            "path": String(description="Only verify, with 'privs': path.", optional=True, requires="privs"),
            "privs": String(
                description="Only verify, with 'path': privileges.", optional=True, requires="path"
            ),
            "new-format": Boolean(description="Ignored.", optional=True),
            "tfa-challenge": String(description="Ticket of the first step of a login.", optional=True),
        },
        returns="object",
        permission=WORLD,
        protected=True,
        allow_token=False,
    ),
]
