"""Groups, roles, access rules and what follows from them (pvecm 6.7, 7.4)."""

from __future__ import annotations

from typing import Final

from quorate.access import changes, permissions
from quorate.access.directory import directory_of
from quorate.access.permissions import DEFAULT_PATHS
from quorate.access.roles import BUILTIN_ROLES, PRIVILEGES
from quorate.access.store import change_users
from quorate.access.users import normalize_path, split_token
from quorate.api.access_rules import Caller, failing, looking_up
from quorate.api.access_users import COMMENT
from quorate.clusterlog import record
from quorate.rules import Rights, Values
from quorate.schema import (
    ALL,
    VERIFICATION_FAILED,
    All,
    ApiError,
    Array,
    Boolean,
    Check,
    Context,
    Named,
    Object,
    Operation,
    Or,
    String,
)

GROUP: Final = String(description="Name of the group.", format="pve-groupid", max_length=64)
ROLE: Final = String(description="Name of the role.", format="pve-roleid", max_length=64)
PRIVS: Final = String(description="Privileges of the role.", format="string-list", optional=True)
GROUP_PRIVILEGES: Final = ("User.Modify", "Sys.Audit", "Group.Allocate")
_ALLOCATE_GROUP: Final = Check("/access/groups", ("Group.Allocate",))
_MODIFY_ROLES: Final = Check("/access", ("Sys.Modify",))

# -- groups -----------------------------------------------------------------------------------------------


def _groups(ctx: Context) -> list[dict[str, object]]:
    caller = Caller(ctx)
    result = []
    for name, group in sorted(directory_of(ctx.settings).users.groups.items()):
        if caller.may(f"/access/groups/{name}", *GROUP_PRIVILEGES):
            entry: dict[str, object] = {"groupid": name, "users": ",".join(sorted(group.users))}
            result.append(entry | ({"comment": group.comment} if group.comment else {}))
    return result


def _group(ctx: Context, groupid: str) -> dict[str, object]:
    with looking_up():
        group = changes.require_group(directory_of(ctx.settings).users, groupid)
    entry: dict[str, object] = {"members": sorted(group.users)}
    return entry | ({"comment": group.comment} if group.comment else {})


def _create_group(ctx: Context, groupid: str, comment: str = "") -> None:
    with failing("create group"), change_users(ctx.settings) as (config, _):
        changes.add_group(config, groupid, comment)
    record(ctx.settings, f"created group '{groupid}'", user=ctx.user)


def _update_group(ctx: Context, groupid: str, comment: str | None = None) -> None:
    with failing("update group"), change_users(ctx.settings) as (config, _):
        group = changes.require_group(config, groupid)
        if comment is not None:
            group.comment = comment


def _delete_group(ctx: Context, groupid: str) -> None:
    with failing("delete group"), change_users(ctx.settings) as (config, _):
        changes.remove_group(config, groupid)
    record(ctx.settings, f"deleted group '{groupid}'", user=ctx.user)


# -- roles ------------------------------------------------------------------------------------------------


def _roles(ctx: Context) -> list[dict[str, object]]:
    return [
        {"roleid": name, "privs": ",".join(sorted(privileges)), "special": name in BUILTIN_ROLES}
        for name, privileges in sorted(directory_of(ctx.settings).users.roles.items())
    ]


def _role(ctx: Context, roleid: str) -> dict[str, object]:
    with looking_up():
        privileges = changes.require_role(directory_of(ctx.settings).users, roleid)
    return dict.fromkeys(sorted(privileges), 1)


def _create_role(ctx: Context, roleid: str, privs: list[str] | None = None) -> None:
    with failing("create role"), change_users(ctx.settings) as (config, _):
        changes.add_role(config, roleid, privs or [])
    record(ctx.settings, f"created role '{roleid}'", user=ctx.user)


def _update_role(ctx: Context, roleid: str, privs: list[str] | None = None, append: bool = False) -> None:
    with failing("update role"), change_users(ctx.settings) as (config, _):
        changes.require_role(config, roleid)
        changes.set_role(config, roleid, privs or [], append=append)
    record(ctx.settings, f"changed role '{roleid}'", user=ctx.user)


def _delete_role(ctx: Context, roleid: str) -> None:
    with failing("delete role"), change_users(ctx.settings) as (config, _):
        changes.remove_role(config, roleid)
    record(ctx.settings, f"deleted role '{roleid}'", user=ctx.user)


# -- access rules -----------------------------------------------------------------------------------------


def _acl(ctx: Context) -> list[dict[str, object]]:
    caller = Caller(ctx)
    audit = caller.may("/access", "Sys.Audit")
    result: list[dict[str, object]] = []
    for path, entry in sorted(directory_of(ctx.settings).users.acl.items()):
        if not audit and not caller.may(path, "Permissions.Modify"):
            continue
        for kind, table in (("user", entry.users), ("group", entry.groups), ("token", entry.tokens)):
            result += [
                {"path": path, "type": kind, "ugid": who, "roleid": role, "propagate": propagate}
                for who, grants in sorted(table.items())
                for role, propagate in sorted(grants.items())
            ]
    return result


def _change_acl(
    ctx: Context,
    path: str,
    roles: list[str],
    users: list[str] | None = None,
    groups: list[str] | None = None,
    tokens: list[str] | None = None,
    propagate: bool = True,
    delete: bool = False,
) -> None:
    normal = normalize_path(path)
    if normal is None or (not delete and not changes.is_acl_path(normal)):
        raise ApiError(400, VERIFICATION_FAILED, {"path": f"invalid ACL path '{path}'"})
    if not (users or groups or tokens):
        text = "property is missing - specify 'users', 'groups' or 'tokens'"
        raise ApiError(400, VERIFICATION_FAILED, dict.fromkeys(("users", "groups", "tokens"), text))
    with failing("ACL update"), change_users(ctx.settings) as (config, _):
        changes.change_acl(
            config,
            normal,
            roles,
            users=users or (),
            groups=groups or (),
            tokens=tokens or (),
            propagate=propagate,
            delete=delete,
        )
    who = ", ".join([*(users or []), *(f"@{name}" for name in groups or []), *(tokens or [])])
    what = "took from" if delete else "gave to"
    record(ctx.settings, f"access rules of '{normal}': {what} {who}: {', '.join(roles)}", user=ctx.user)


# -- what follows -----------------------------------------------------------------------------------------


def _permissions(ctx: Context, userid: str | None = None, path: str | None = None) -> dict[str, object]:
    who = userid if userid is not None else ctx.user
    directory = directory_of(ctx.settings)
    config = directory.users
    if split_token(who)[1] is not None:
        with looking_up():
            changes.require_token(config, who)
    else:
        with looking_up():
            changes.require_user(config, who)
    if path is None:
        paths = [*DEFAULT_PATHS, *config.acl]
    else:
        normal = normalize_path(path)
        if normal is None:
            raise ApiError(400, VERIFICATION_FAILED, {"path": f"invalid ACL path '{path}'"})
        paths = [normal]
    found = {place: permissions.privileges(config, who, place) for place in sorted({*paths})}
    return {place: dict(sorted(given.items())) for place, given in found.items() if given}


def _own(rights: Rights, values: Values) -> bool:
    userid = values.get("userid")
    return userid is None or userid == rights.user or str(userid).startswith(f"{rights.user}!")


_GROUP_ENTRY: Final = {
    "groupid": GROUP,
    "comment": String(optional=True),
    "users": String(description="The members, joined by commas."),
}

OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/access/groups",
        name="index_groups",
        description="The groups.",
        handler=_groups,
        returns=Array(items=Object(properties=_GROUP_ENTRY), link="{groupid}"),
        permission=All(f"Only groups with {' or '.join(GROUP_PRIVILEGES)} on /access/groups/GROUP."),
    ),
    Operation(
        method="POST",
        path="/access/groups",
        name="create_group",
        description="Create a group.",
        handler=_create_group,
        parameters={"groupid": GROUP, "comment": COMMENT},
        permission=_ALLOCATE_GROUP,
        protected=True,
    ),
    Operation(
        method="GET",
        path="/access/groups/{groupid}",
        name="read_group",
        description="One group and its members.",
        handler=_group,
        parameters={"groupid": GROUP},
        returns=Object(properties={"members": Array(items=String()), "comment": String(optional=True)}),
        permission=Check("/access/groups", ("Sys.Audit", "Group.Allocate")),
    ),
    Operation(
        method="PUT",
        path="/access/groups/{groupid}",
        name="update_group",
        description="Change a group's comment. Members are changed with the users.",
        handler=_update_group,
        parameters={"groupid": GROUP, "comment": COMMENT},
        permission=_ALLOCATE_GROUP,
        protected=True,
    ),
    Operation(
        method="DELETE",
        path="/access/groups/{groupid}",
        name="delete_group",
        description="Delete a group, with its access rules; its members stay.",
        handler=_delete_group,
        parameters={"groupid": GROUP},
        permission=_ALLOCATE_GROUP,
        protected=True,
    ),
    Operation(
        method="GET",
        path="/access/roles",
        name="index_roles",
        description="The roles and their privileges.",
        handler=_roles,
        returns=Array(
            items=Object(
                properties={
                    "roleid": ROLE,
                    "privs": String(description="Privileges, joined by commas."),
                    "special": Boolean(description="Built in: it can neither be changed nor deleted."),
                }
            ),
            link="{roleid}",
        ),
        permission=ALL,
    ),
    Operation(
        method="POST",
        path="/access/roles",
        name="create_role",
        description="Create a role.",
        handler=_create_role,
        parameters={"roleid": ROLE, "privs": PRIVS},
        permission=_MODIFY_ROLES,
        protected=True,
    ),
    Operation(
        method="GET",
        path="/access/roles/{roleid}",
        name="read_role",
        description="The privileges of a role.",
        handler=_role,
        parameters={"roleid": ROLE},
        returns=Object(properties={name: Boolean(optional=True) for name in sorted(PRIVILEGES)}),
        permission=ALL,
    ),
    Operation(
        method="PUT",
        path="/access/roles/{roleid}",
        name="update_role",
        description="Change a role's privileges.",
        handler=_update_role,
        parameters={
            "roleid": ROLE,
            "privs": PRIVS,
            "append": Boolean(description="Add to what it has.", optional=True, requires="privs"),
        },
        permission=_MODIFY_ROLES,
        protected=True,
    ),
    Operation(
        method="DELETE",
        path="/access/roles/{roleid}",
        name="delete_role",
        description="Delete a role; access rules lose it.",
        handler=_delete_role,
        parameters={"roleid": ROLE},
        permission=_MODIFY_ROLES,
        protected=True,
    ),
    Operation(
        method="GET",
        path="/access/acl",
        name="read_acl",
        description="The access rules: who has which role where.",
        handler=_acl,
        returns=Array(
            items=Object(
                properties={
                    "path": String(description="Access path."),
                    "type": String(enum=("user", "group", "token")),
                    "ugid": String(description="User, group or full id of the API token."),
                    "roleid": ROLE,
                    "propagate": Boolean(description="Whether it counts for what lies below."),
                }
            )
        ),
        permission=All("All rules with Sys.Audit on /access; else those of paths with Permissions.Modify."),
    ),
    Operation(
        method="PUT",
        path="/access/acl",
        name="update_acl",
        description="Give roles on a path to users, groups or API tokens, or take them away.",
        handler=_change_acl,
        parameters={
            "path": String(description="Access path, e.g. /nodes/n1.", max_length=256),
            "roles": String(description="Roles.", format="pve-roleid-list"),
            "users": String(description="Users.", format="pve-userid-list", optional=True),
            "groups": String(description="Groups.", format="pve-groupid-list", optional=True),
            "tokens": String(description="API tokens.", format="pve-tokenid-list", optional=True),
            "propagate": Boolean(
                description="Whether it counts for what lies below.", optional=True, default=True
            ),
            "delete": Boolean(description="Take away instead of giving.", optional=True),
        },
        permission=Check("{path}", ("Permissions.Modify",)),
        protected=True,
    ),
    Operation(
        method="GET",
        path="/access/permissions",
        name="permissions",
        description="The privileges of a user or API token by path; 1: they count for what lies below.",
        handler=_permissions,
        parameters={
            "userid": String(
                description="User, or full id of an API token.", format="pve-user-or-token", optional=True
            ),
            "path": String(description="Only this path.", optional=True, max_length=256),
        },
        returns=Object(additional=Object(additional=Boolean())),
        permission=Or(
            Named("user != userid", "One's own, and those of one's API tokens", _own, frozenset({"userid"})),
            Check("/access", ("Sys.Audit",)),
        ),
    ),
]
