"""Who may do what: roles and privileges that follow from user.cfg for a user or token on a path (pvecm 7.4).

Pure functions over `users.UserConfig`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from quorate.access.roles import ADMINISTRATOR, NO_ACCESS, PRIVILEGES
from quorate.access.users import ROOT, AclEntry, RoleGrants, UserConfig, split_token

DEFAULT_PATHS = ("/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms")


class AccountError(Exception):
    """A user or token may not act at all; the text is for the log."""


def check_account(config: UserConfig, auth_id: str, now: int) -> None:
    """Raise `AccountError` unless the user (and the token) exists, is enabled and has not expired."""
    userid, token_name = split_token(auth_id)
    user = config.users.get(userid)
    if user is None:
        raise AccountError(f"no such user ('{userid}')")
    if not user.enable:
        raise AccountError(f"user '{userid}' is disabled")
    if user.expire and user.expire <= now:
        raise AccountError(f"user '{userid}' access expired")
    if token_name is None:
        return
    token = config.tokens.get(auth_id)
    if token is None:
        raise AccountError(f"no such token '{token_name}' for user '{userid}'")
    if token.expire and token.expire <= now:
        raise AccountError(f"token '{token_name}' access expired")


def roles(config: UserConfig, auth_id: str, path: str) -> RoleGrants:
    """Roles of a user, or a token's own roles, on a normalised path; value: passed on to what lies below."""
    if auth_id == ROOT:
        return {ADMINISTRATOR: True}
    found = _roles_along(config, auth_id, path)
    if NO_ACCESS in found:
        return {NO_ACCESS: found[NO_ACCESS]}
    for pool in _pools_of(config, path):
        for role, propagate in _roles_along(config, auth_id, f"/pool/{pool}").items():
            if role != NO_ACCESS:
                found.setdefault(role, propagate)
    return found


def privileges(config: UserConfig, auth_id: str, path: str) -> dict[str, bool]:
    """Privileges on a path; a token with separated privileges never has more than its user."""
    userid, token_name = split_token(auth_id)
    own = _privileges_of(config, userid, path)
    if token_name is None:
        return own
    token = config.tokens.get(auth_id)
    if token is None:
        return {}
    if not token.privsep:
        return own
    separate = _privileges_of(config, auth_id, path)
    return {name: own[name] and separate[name] for name in own.keys() & separate.keys()}


def has_any(config: UserConfig, auth_id: str, path: str, wanted: Iterable[str]) -> bool:
    """Whether at least one of the privileges is given. root@pam passes everything, its tokens do not."""
    if auth_id == ROOT:
        return True
    given = privileges(config, auth_id, path)
    return any(name in given for name in wanted)


def capabilities(config: UserConfig, auth_id: str) -> dict[str, dict[str, int]]:
    """What the interface shows: per area the privileges held anywhere in it (``cap`` of a login)."""
    result: dict[str, dict[str, int]] = {area: {} for area in sorted({*_AREAS, "dc"})}
    paths = {*DEFAULT_PATHS, *config.acl, "/mapping"}
    for path in paths:
        given = privileges(config, auth_id, path)
        top = path.split("/")[1]
        areas = ("vms", "storage") if top == "pool" else (top,) if top else tuple(_AREAS)
        for area in areas:
            if area in _AREAS:
                result[area].update({name: 1 for name in given if _counts(name, _AREAS[area])})
        if path == "/":
            result["dc"].update(
                {name: 1 for name in given if _counts(name, ("Sys.Audit", "Sys.Modify", "SDN."))}
            )
    return result


_AREAS: Mapping[str, tuple[str, ...]] = {
    "access": ("User.", "Group.", "Permissions.Modify"),
    "mapping": ("Mapping.", "Permissions.Modify"),
    "nodes": ("Sys.", "Permissions.Modify"),
    "sdn": ("SDN.", "Permissions.Modify"),
    "storage": ("Datastore.", "Permissions.Modify"),
    "vms": ("VM.", "Permissions.Modify"),
}


def _counts(name: str, patterns: tuple[str, ...]) -> bool:
    return any(
        name == pattern or (pattern.endswith(".") and name.startswith(pattern)) for pattern in patterns
    )


def _privileges_of(config: UserConfig, auth_id: str, path: str) -> dict[str, bool]:
    if auth_id == ROOT:
        return dict.fromkeys(PRIVILEGES, True)
    result: dict[str, bool] = {}
    for role, propagate in roles(config, auth_id, path).items():
        for name in config.roles.get(role, frozenset()):
            result[name] = result.get(name, False) or propagate
    return result


def _roles_along(config: UserConfig, auth_id: str, path: str) -> RoleGrants:
    """Each level that says something about the user replaces what came from above."""
    found: RoleGrants = {}
    for level in _levels(path):
        entry = config.acl.get(level)
        if entry is not None:
            here = _roles_here(config, entry, auth_id, final=level == path)
            found = here or found
    return found


def _roles_here(config: UserConfig, entry: AclEntry, auth_id: str, *, final: bool) -> RoleGrants:
    if split_token(auth_id)[1] is not None:
        return _effective(entry.tokens.get(auth_id), final=final)
    own = _effective(entry.users.get(auth_id), final=final)
    if own:
        return own
    union: RoleGrants = {}
    for name, grants in entry.groups.items():
        group = config.groups.get(name)
        if group is not None and auth_id in group.users:
            for role, propagate in _effective(grants, final=final).items():
                union[role] = union.get(role, False) or propagate
    return union


def _effective(grants: RoleGrants | None, *, final: bool) -> RoleGrants:
    return {role: propagate for role, propagate in (grants or {}).items() if final or propagate}


def _levels(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part]
    return ["/", *("/" + "/".join(parts[: n + 1]) for n in range(len(parts)))]


def _pools_of(config: UserConfig, path: str) -> list[str]:
    top, _, member = path.strip("/").partition("/")
    if top == "vms" and member:
        return [name for name, pool in config.pools.items() if member in pool.vms]
    if top == "storage" and member:
        return [name for name, pool in config.pools.items() if member in pool.storage]
    return []
