"""What changing users, groups, roles, rules, tokens and pools does to user.cfg (pvecm 6.7). Pure.

All functions change the configuration in place and raise `ChangeError` before they changed anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from quorate.access.roles import BUILTIN_ROLES, PRIVILEGES
from quorate.access.users import ROOT, AclEntry, Group, Pool, RoleGrants, Token, User, UserConfig, split_token

_ACL_PATHS: Final = re.compile(
    r"/|/access(/groups(/[A-Za-z0-9._-]+)?|/realm(/[A-Za-z][A-Za-z0-9._-]+)?)?|/nodes(/[A-Za-z0-9.-]+)?"
    r"|/pool(/[A-Za-z0-9._-]+){0,3}|/sdn(/[A-Za-z0-9._-]+)*|/storage(/[A-Za-z0-9._-]+)?"
    r"|/vms(/[1-9][0-9]{2,8})?|/mapping(/[a-z]+(/[A-Za-z0-9._-]+)?)?"
)


_UNSAFE_IN_USERID: Final = re.compile(r"[,;!%\"'\x00-\x20\x7f]|^[@#]")
"""What the formats of files, lists and tickets give a meaning of its own: a name with a comma would be two
members of a group, one with a percent sign another user in a ticket."""


class ChangeError(Exception):
    """A change was refused; the text says why."""


def is_acl_path(path: str) -> bool:
    """Whether rules may be set on a (normalised) path."""
    return _ACL_PATHS.fullmatch(path) is not None


# -- users ------------------------------------------------------------------------------------------------


def require_user(config: UserConfig, userid: str) -> User:
    user = config.users.get(userid)
    if user is None:
        raise ChangeError(f"no such user ('{userid}')")
    return user


def add_user(config: UserConfig, userid: str, values: Mapping[str, object], groups: Iterable[str]) -> None:
    if userid in config.users:
        raise ChangeError(f"user '{userid}' already exists")
    if (wrong := _UNSAFE_IN_USERID.search(userid)) is not None:
        raise ChangeError(f"user names cannot have the character {wrong[0]!r} (in this place)")
    wanted = list(groups)
    _require_groups(config, wanted)
    user = User()
    _set_user(user, values)
    config.users[userid] = user
    for name in wanted:
        config.groups[name].users.add(userid)


def update_user(
    config: UserConfig,
    userid: str,
    values: Mapping[str, object],
    groups: Iterable[str] | None = None,
    *,
    append: bool = False,
) -> None:
    """``groups`` replaces the user's groups, or adds to them."""
    user = require_user(config, userid)
    if userid == ROOT and (values.get("enable") is False or values.get("expire")):
        raise ChangeError(f"user '{ROOT}' can neither be disabled nor expire")
    if groups is not None:
        wanted = list(groups)
        _require_groups(config, wanted)
        for name, group in config.groups.items():
            if name in wanted:
                group.users.add(userid)
            elif not append:
                group.users.discard(userid)
    _set_user(user, values)


def remove_user(config: UserConfig, userid: str) -> list[str]:
    """Forget a user with memberships, rules and tokens; the ids of the tokens that went."""
    require_user(config, userid)
    if userid == ROOT:
        raise ChangeError(f"user '{ROOT}' cannot be deleted")
    tokens = [token for token in config.tokens if split_token(token)[0] == userid]
    for token in tokens:
        remove_token(config, token)
    for group in config.groups.values():
        group.users.discard(userid)
    for entry in config.acl.values():
        entry.users.pop(userid, None)
    del config.users[userid]
    return tokens


def _set_user(user: User, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        setattr(user, name, value)


# -- tokens -----------------------------------------------------------------------------------------------


def require_token(config: UserConfig, token_id: str) -> Token:
    token = config.tokens.get(token_id)
    if token is None:
        user, name = split_token(token_id)
        require_user(config, user)
        raise ChangeError(f"no such token '{name}' for user '{user}'")
    return token


def remove_token(config: UserConfig, token_id: str) -> None:
    require_token(config, token_id)
    for entry in config.acl.values():
        entry.tokens.pop(token_id, None)
    del config.tokens[token_id]


# -- groups -----------------------------------------------------------------------------------------------


def require_group(config: UserConfig, name: str) -> Group:
    group = config.groups.get(name)
    if group is None:
        raise ChangeError(f"no such group '{name}'")
    return group


def add_group(config: UserConfig, name: str, comment: str) -> None:
    if name in config.groups:
        raise ChangeError(f"group '{name}' already exists")
    config.groups[name] = Group(comment=comment)


def remove_group(config: UserConfig, name: str) -> None:
    require_group(config, name)
    for entry in config.acl.values():
        entry.groups.pop(name, None)
    del config.groups[name]


def _require_groups(config: UserConfig, names: Iterable[str]) -> None:
    for name in names:
        require_group(config, name)


# -- roles ------------------------------------------------------------------------------------------------


def require_role(config: UserConfig, name: str) -> frozenset[str]:
    privileges = config.roles.get(name)
    if privileges is None:
        raise ChangeError(f"role '{name}' does not exist")
    return privileges


def set_role(config: UserConfig, name: str, privileges: Iterable[str], *, append: bool = False) -> None:
    """Set the privileges of a new or known role, or add to them."""
    if name in BUILTIN_ROLES:
        raise ChangeError(f"built-in role '{name}' cannot be changed")
    wanted = frozenset(privileges)
    unknown = sorted(wanted - PRIVILEGES)
    if unknown:
        raise ChangeError(f"invalid privilege '{unknown[0]}'")
    config.roles[name] = wanted | (config.roles.get(name, frozenset()) if append else frozenset())


def add_role(config: UserConfig, name: str, privileges: Iterable[str]) -> None:
    if name in config.roles:
        raise ChangeError(f"role '{name}' already exists")
    set_role(config, name, privileges)


def remove_role(config: UserConfig, name: str) -> None:
    require_role(config, name)
    if name in BUILTIN_ROLES:
        raise ChangeError(f"built-in role '{name}' cannot be deleted")
    for entry in config.acl.values():
        for grants in (*entry.users.values(), *entry.groups.values(), *entry.tokens.values()):
            grants.pop(name, None)
    del config.roles[name]


# -- rules ------------------------------------------------------------------------------------------------


def change_acl(
    config: UserConfig,
    path: str,
    roles: Iterable[str],
    *,
    users: Iterable[str] = (),
    groups: Iterable[str] = (),
    tokens: Iterable[str] = (),
    propagate: bool = True,
    delete: bool = False,
) -> None:
    """Give roles on a normalised path, or take them away."""
    wanted, who = list(roles), {"users": list(users), "groups": list(groups), "tokens": list(tokens)}
    for role in wanted:
        require_role(config, role)
    if not delete:
        # Rules for what is gone can still be taken away.
        for userid in who["users"]:
            require_user(config, userid)
        _require_groups(config, who["groups"])
        for token in who["tokens"]:
            require_token(config, token)
    entry = config.acl.setdefault(path, AclEntry())
    for table, names in (
        (entry.users, who["users"]),
        (entry.groups, who["groups"]),
        (entry.tokens, who["tokens"]),
    ):
        for name in names:
            _grant(table, name, wanted, propagate=propagate, delete=delete)
    if not (entry.users or entry.groups or entry.tokens):
        del config.acl[path]


def _grant(
    table: dict[str, RoleGrants], name: str, roles: Iterable[str], *, propagate: bool, delete: bool
) -> None:
    grants = table.setdefault(name, {})
    for role in roles:
        if delete:
            grants.pop(role, None)
        else:
            grants[role] = propagate
    if not grants:
        del table[name]


# -- pools ------------------------------------------------------------------------------------------------


def require_pool(config: UserConfig, name: str) -> Pool:
    pool = config.pools.get(name)
    if pool is None:
        raise ChangeError(f"no such pool '{name}'")
    return pool


def add_pool(config: UserConfig, name: str, comment: str) -> None:
    if name in config.pools:
        raise ChangeError(f"pool '{name}' already exists")
    parent = name.rpartition("/")[0]
    if parent and parent not in config.pools:
        raise ChangeError(f"parent '{parent}' of pool '{name}' does not exist")
    config.pools[name] = Pool(comment=comment)


def change_members(
    config: UserConfig,
    name: str,
    vms: Iterable[str],
    storage: Iterable[str],
    *,
    delete: bool = False,
    allow_move: bool = False,
) -> None:
    """Add or remove members; a guest is a member of one pool at most."""
    pool = require_pool(config, name)
    wanted, stores = list(vms), list(storage)
    others = {vmid: other for other, found in config.pools.items() if found is not pool for vmid in found.vms}
    for vmid in wanted:
        if delete and vmid not in pool.vms:
            raise ChangeError(f"VM {vmid} is not a pool member")
        if not delete and vmid in pool.vms:
            raise ChangeError(f"VM {vmid} is already a pool member")
        if not delete and vmid in others and not allow_move:
            raise ChangeError(
                f"VM {vmid} belongs already to pool '{others[vmid]}' and 'allow-move' is not set"
            )
    for store in stores:
        if delete and store not in pool.storage:
            raise ChangeError(f"Storage '{store}' is not a pool member")
        if not delete and store in pool.storage:
            raise ChangeError(f"Storage '{store}' is already a pool member")
    if delete:
        pool.vms.difference_update(wanted)
        pool.storage.difference_update(stores)
        return
    for vmid in wanted:
        if vmid in others:
            config.pools[others[vmid]].vms.discard(vmid)
    pool.vms.update(wanted)
    pool.storage.update(stores)


def remove_pool(config: UserConfig, name: str) -> None:
    pool = require_pool(config, name)
    if pool.vms or pool.storage:
        raise ChangeError(f"pool '{name}' is not empty")
    below = sorted(other for other in config.pools if other.startswith(f"{name}/"))
    if below:
        raise ChangeError(f"pool '{name}' has the pool '{below[0]}' below it")
    config.acl.pop(f"/pool/{name}", None)
    del config.pools[name]
