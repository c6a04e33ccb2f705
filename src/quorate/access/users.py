"""user.cfg: users, API tokens, groups, pools, roles and access rules; parse and write (pvecm 7.4).

Text in, text out. What follows from the rules is `permissions`; passwords and secrets are elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from quorate.access.roles import ADMINISTRATOR, BUILTIN_ROLES, PRIVILEGES
from quorate.formats import FormatError, check_format, parse_user_id

ROOT: Final = "root@pam"

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_ACL_PATH = re.compile(r"[A-Za-z0-9._/-]+")


@dataclass(slots=True)
class User:
    enable: bool = True
    expire: int = 0
    firstname: str = ""
    lastname: str = ""
    email: str = ""
    comment: str = ""
    keys: str = ""


@dataclass(slots=True)
class Token:
    expire: int = 0
    privsep: bool = True
    comment: str = ""


@dataclass(slots=True)
class Group:
    users: set[str] = field(default_factory=set)
    comment: str = ""


@dataclass(slots=True)
class Pool:
    comment: str = ""
    vms: set[str] = field(default_factory=set)
    storage: set[str] = field(default_factory=set)


RoleGrants = dict[str, bool]
"""Role name -> whether it is passed on to what lies below."""


@dataclass(slots=True)
class AclEntry:
    """The rules of one path, by who they are for."""

    users: dict[str, RoleGrants] = field(default_factory=dict)
    groups: dict[str, RoleGrants] = field(default_factory=dict)
    tokens: dict[str, RoleGrants] = field(default_factory=dict)


@dataclass(slots=True)
class UserConfig:
    """The whole file. Tokens are keyed by their full id, ``USER@REALM!NAME``."""

    users: dict[str, User] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    roles: dict[str, frozenset[str]] = field(default_factory=dict)
    acl: dict[str, AclEntry] = field(default_factory=dict)


def split_token(auth_id: str) -> tuple[str, str | None]:
    """User id and token name of who acts; the name is None for a user."""
    user, mark, name = auth_id.partition("!")
    return user, name if mark else None


def normalize_path(path: str) -> str | None:
    """An access path in its one form, or None when it cannot be one."""
    text = "/" + "/".join(part for part in path.split("/") if part)
    return text if _ACL_PATH.fullmatch(text) else None


def parse_user_config(text: str) -> tuple[UserConfig, list[str]]:
    """The configuration and a warning for every line or part that was skipped. root@pam always exists."""
    config = UserConfig(roles=dict(BUILTIN_ROLES))
    warnings: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        kind, *fields = (part.strip() for part in line.split(":"))
        parser = _PARSERS.get(kind)
        if parser is None:
            warnings.append(f"user.cfg line {number}: unknown kind of entry '{kind}', skipped")
            continue
        fields += [""] * 8
        try:
            for problem in parser(config, fields):
                warnings.append(f"user.cfg line {number}: {problem}")
        except (FormatError, ValueError) as err:
            warnings.append(f"user.cfg line {number}: {str(err).strip()}, skipped")
    root = config.users.setdefault(ROOT, User())
    root.enable, root.expire = True, 0
    return config, warnings


def format_user_config(config: UserConfig) -> str:
    """The file's text in the canonical order. Built-in roles and rules for root@pam are left out."""
    lines: list[str] = []
    for userid, user in sorted(config.users.items()):
        texts = (user.firstname, user.lastname, user.email, user.comment, user.keys)
        lines.append(_line("user", userid, str(int(user.enable)), str(user.expire), *map(_escape, texts)))
        for tokenid, token in sorted(config.tokens.items()):
            if split_token(tokenid)[0] == userid:
                parts = (str(token.expire), str(int(token.privsep)), _escape(token.comment))
                lines.append(_line("token", tokenid, *parts))
    lines.append("")
    for name, group in sorted(config.groups.items()):
        lines.append(_line("group", name, ",".join(sorted(group.users)), _escape(group.comment)))
    lines.append("")
    for name, pool in sorted(config.pools.items()):
        vms = ",".join(sorted(pool.vms, key=int))
        lines.append(_line("pool", name, _escape(pool.comment), vms, ",".join(sorted(pool.storage))))
    lines.append("")
    for name, privileges in sorted(config.roles.items()):
        if name not in BUILTIN_ROLES:
            lines.append(_line("role", name, ",".join(sorted(privileges))))
    lines.append("")
    for path, entry in sorted(config.acl.items()):
        lines += _acl_lines(path, entry)
    return "\n".join(lines) + "\n"


def _acl_lines(path: str, entry: AclEntry) -> list[str]:
    lines = []
    for propagate in (False, True):
        by_roles: dict[str, set[str]] = {}
        for prefix, grants in (("", entry.users), ("@", entry.groups), ("", entry.tokens)):
            for who, roles in grants.items():
                wanted = ",".join(sorted(role for role, flag in roles.items() if flag is propagate))
                if wanted and who != ROOT:
                    by_roles.setdefault(wanted, set()).add(prefix + who)
        for names, members in sorted(by_roles.items()):
            lines.append(_line("acl", str(int(propagate)), path, ",".join(sorted(members)), names))
    return lines


def _line(*fields: str) -> str:
    return ":".join(fields) + ":"


def _escape(text: str) -> str:
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b"%:" else f"%{byte:02X}" for byte in text.encode()
    )


def _text(field_text: str) -> str:
    return unquote(field_text)


def _true(field_text: str) -> bool:
    return field_text not in ("", "0")


def _epoch(field_text: str) -> int:
    if field_text and not field_text.isdecimal():
        raise ValueError(f"illegal expire date '{field_text}'")
    return int(field_text or "0")


def _names(field_text: str) -> list[str]:
    return [name for name in re.split(r"[,;\s]+", field_text) if name]


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"illegal {what} '{name}'")


def _parse_user(config: UserConfig, fields: list[str]) -> list[str]:
    userid = parse_user_id(fields[0])[0]
    config.users[userid] = User(
        _true(fields[1]), _epoch(fields[2]), _text(fields[3]), _text(fields[4]), _text(fields[5]),
        _text(fields[6]), _text(fields[7]),
    )  # fmt: skip
    return []


def _parse_token(config: UserConfig, fields: list[str]) -> list[str]:
    check_format("pve-tokenid", fields[0])
    user = split_token(fields[0])[0]
    if user not in config.users and user != ROOT:
        raise ValueError(f"token '{fields[0]}' of unknown user '{user}'")
    config.tokens[fields[0]] = Token(_epoch(fields[1]), _true(fields[2]), _text(fields[3]))
    return []


def _parse_group(config: UserConfig, fields: list[str]) -> list[str]:
    _check_name("group", fields[0])
    group = config.groups.setdefault(fields[0], Group())
    group.comment = _text(fields[2])
    problems = []
    for name in _names(fields[1]):
        if name in config.users or name == ROOT:
            group.users.add(name)
        else:
            problems.append(f"group '{fields[0]}': unknown user '{name}' ignored")
    return problems


def _parse_pool(config: UserConfig, fields: list[str]) -> list[str]:
    for part in fields[0].split("/"):
        _check_name("pool", part)
    pool = Pool(_text(fields[1]))
    problems = []
    for vmid in _names(fields[2]):
        if re.fullmatch(r"[1-9][0-9]{2,8}", vmid):
            pool.vms.add(vmid)
        else:
            problems.append(f"pool '{fields[0]}': illegal VM ID '{vmid}' ignored")
    pool.storage.update(_names(fields[3]))
    config.pools[fields[0]] = pool
    return problems


def _parse_role(config: UserConfig, fields: list[str]) -> list[str]:
    _check_name("role", fields[0])
    if fields[0] in BUILTIN_ROLES:
        raise ValueError(f"built-in role '{fields[0]}' cannot be changed")
    known = [name for name in _names(fields[1]) if name in PRIVILEGES]
    config.roles[fields[0]] = frozenset(known)
    return [
        f"role '{fields[0]}': unknown privilege '{name}' ignored"
        for name in _names(fields[1])
        if name not in PRIVILEGES
    ]


def _parse_acl(config: UserConfig, fields: list[str]) -> list[str]:
    path = normalize_path(fields[1])
    if path is None:
        raise ValueError(f"illegal access path '{fields[1]}'")
    problems = []
    roles = []
    for role in _names(fields[3]):
        if role in config.roles:
            roles.append(role)
        else:
            problems.append(f"unknown role '{role}' ignored")
    entry = config.acl.setdefault(path, AclEntry())
    for name in _names(fields[2]):
        grants: dict[str, RoleGrants]
        if name.startswith("@") and name[1:] in config.groups:
            grants, who = entry.groups, name[1:]
        elif name in config.tokens:
            grants, who = entry.tokens, name
        elif name in config.users or name == ROOT:
            grants, who = entry.users, name
        else:
            problems.append(f"unknown user, group or token '{name}' ignored")
            continue
        for role in roles:
            grants.setdefault(who, {})[role] = _true(fields[0])
    return problems


_PARSERS: dict[str, Callable[[UserConfig, list[str]], list[str]]] = {
    "user": _parse_user,
    "token": _parse_token,
    "group": _parse_group,
    "pool": _parse_pool,
    "role": _parse_role,
    "acl": _parse_acl,
}

__all__ = [
    "ADMINISTRATOR",
    "ROOT",
    "AclEntry",
    "Group",
    "Pool",
    "RoleGrants",
    "Token",
    "User",
    "UserConfig",
    "format_user_config",
    "normalize_path",
    "parse_user_config",
    "split_token",
]
