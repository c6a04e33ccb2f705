"""Permission rules, parameters and small helpers that the operations of access control share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from quorate.access.changes import ChangeError
from quorate.access.directory import AuthenticationError, directory_of
from quorate.access.factors import FactorError
from quorate.access.login import authenticate
from quorate.access.store import PasswordError
from quorate.access.users import ROOT, normalize_path
from quorate.cfs import CfsError
from quorate.rules import Rights, Rule, Values
from quorate.schema import And, ApiError, Context, Named, Or, Self, String

USERID: Final = String(description="Full user id, NAME@REALM.", format="pve-userid", max_length=64)
TOKEN_NAME: Final = String(description="Name of the API token, without the user.", format="pve-realm")
CONFIRMATION: Final = String(
    description="The password of the user who asks; all but root@pam have to give it.",
    optional=True,
    min_length=1,
    max_length=512,
)

USER_PRIVILEGES: Final = ("User.Modify", "Sys.Audit")


def holds_on_user(rights: Rights, userid: str, *privileges: str) -> bool:
    """Whether one of the privileges is held on all groups, or on one that the user is a member of."""
    paths = ["/access/groups", *(f"/access/groups/{group}" for group in rights.groups_of(userid))]
    return any(rights.may(path, *privileges) for path in paths)


def _on_user(*privileges: str) -> Rule:
    shown = "|".join(privileges)
    return Named(
        f"/access/groups, {shown}",
        f"{' or '.join(privileges)} on /access/groups, or on /access/groups/GROUP of a group of the user",
        lambda rights, values: holds_on_user(rights, str(values.get("userid", "")), *privileges),
        frozenset({"userid"}),
    )


def _not_root(rights: Rights, values: Values) -> bool:
    return values.get("userid") != ROOT


def _allocates(rights: Rights, values: Values) -> bool:
    realm = str(values.get("userid", "")).rpartition("@")[2]
    return rights.may(f"/access/realm/{realm}", "Realm.AllocateUser")


def _all_groups(rights: Rights, values: Values) -> bool:
    groups = values.get("groups")
    if not isinstance(groups, list) or not groups:
        return rights.may("/access/groups", "User.Modify")
    return all(rights.may(f"/access/groups/{group}", "User.Modify") for group in groups)


def _given_groups(rights: Rights, values: Values) -> bool:
    return not values.get("groups") or _all_groups(rights, values)


NOT_ROOT: Final = Named(
    "only root@pam may change root@pam",
    "root@pam is changed by itself alone",
    _not_root,
    frozenset({"userid"}),
)
ALLOCATE_USER: Final = Named(
    "/access/realm, Realm.AllocateUser",
    "Realm.AllocateUser on /access/realm/REALM of the user",
    _allocates,
    frozenset({"userid"}),
)
NEW_GROUPS: Final = Named(
    "/access/groups, User.Modify",
    "User.Modify on /access/groups/GROUP of every group that is named, on /access/groups if none is",
    _all_groups,
    frozenset({"groups"}),
)
MORE_GROUPS: Final = Named(
    "/access/groups, User.Modify",
    "User.Modify on /access/groups/GROUP of every group that is named",
    _given_groups,
    frozenset({"groups"}),
)
READ_USER: Final = Or(Self(), _on_user(*USER_PRIVILEGES))
MODIFY_USER: Final = And(NOT_ROOT, _on_user("User.Modify"))
READ_TOKENS: Final = Or(Self(), _on_user("User.Modify"))
SELF_OR_MODIFY: Final = Or(Self(), MODIFY_USER)


class Caller:
    """What the permission rules ask, for handlers that leave out what the caller may not see."""

    def __init__(self, ctx: Context) -> None:
        self._directory = directory_of(ctx.settings)
        self.user = ctx.user

    def may(self, path: str, *privileges: str) -> bool:
        normal = normalize_path(path)
        return normal is not None and self._directory.may(self.user, normal, *privileges)

    def groups_of(self, userid: str) -> list[str]:
        return [name for name, group in self._directory.users.groups.items() if userid in group.users]


@contextmanager
def failing(what: str) -> Iterator[None]:
    """Errors of a change as the caller gets them: ``WHAT failed: REASON``."""
    try:
        yield
    except (ChangeError, FactorError, PasswordError, CfsError) as err:
        raise ApiError(500, f"{what} failed: {err}") from err


@contextmanager
def looking_up() -> Iterator[None]:
    """Errors of a lookup as the caller gets them: the reason alone."""
    try:
        yield
    except ChangeError as err:
        raise ApiError(500, str(err)) from err


def confirm_password(ctx: Context, password: str | None, parameter: str = "confirmation-password") -> None:
    """The caller has to know his password: a ticket may have been stolen. Raises `ApiError` 400, 401."""
    if ctx.user == ROOT:
        return
    if password is None:
        text = "property is missing and it is not optional"
        raise ApiError(400, "Parameter verification failed.", {parameter: text})
    try:
        authenticate(
            ctx.settings, directory_of(ctx.settings), ctx.user, password, ctx.client_ip, allow_ticket=False
        )
    except AuthenticationError as err:
        raise ApiError(401, "authentication failure") from err
