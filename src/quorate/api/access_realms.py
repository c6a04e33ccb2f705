"""``/access/domains``: realms (pvecm 6.7, 7.5). ``pam`` and ``pve`` serve logins, others are only kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from quorate.access.changes import ChangeError
from quorate.access.directory import directory_of
from quorate.access.domains import BUILTIN, Realm
from quorate.access.store import DOMAINS, change_domains
from quorate.api.access_rules import failing
from quorate.api.access_users import COMMENT
from quorate.cfs import Cfs
from quorate.clusterlog import record
from quorate.schema import (
    VERIFICATION_FAILED,
    WORLD,
    ApiError,
    Array,
    Boolean,
    Check,
    Context,
    Integer,
    Object,
    Operation,
    Parameter,
    PropertyString,
    String,
)

REALM: Final = String(description="Name of the realm.", format="pve-realm", max_length=32)
TYPES: Final = ("ad", "ldap", "openid", "pam", "pve")
_FOREIGN: Final = ("ad", "ldap", "openid")
_AUDIT: Final = Check("/access/realm", ("Realm.Allocate", "Sys.Audit"))
_ALLOCATE: Final = Check("/access/realm", ("Realm.Allocate",))
_TFA: Final = PropertyString(
    description="A second factor that every user of the realm must have.",
    optional=True,
    default_key="type",
    keys={
        "type": String(enum=("oath", "yubico")),
        "digits": Integer(optional=True, minimum=6, maximum=8),
        "step": Integer(optional=True, minimum=10),
        "id": String(optional=True),
        "key": String(optional=True),
        "url": String(optional=True),
    },
)


def _text(description: str, longest: int = 256) -> String:
    return String(description=description, optional=True, max_length=longest, pattern=r"[^\r\n]*")


def _flag(description: str) -> Boolean:
    return Boolean(description=description, optional=True)


OPTIONS: Final[Mapping[str, Parameter]] = {
    "comment": COMMENT,
    "default": _flag("Offer this realm first at the login."),
    "tfa": _TFA,
    "case-sensitive": _flag("Whether user names differ by case."),
}
FOREIGN_OPTIONS: Final[Mapping[str, Parameter]] = {
    "acr-values": _text("OpenID: authentication context."),
    "autocreate": _flag("Create users at their first login."),
    "base_dn": _text("LDAP: base of the users."),
    "bind_dn": _text("LDAP: who looks for users."),
    "capath": _text("Certificates of authorities."),
    "cert": _text("Client certificate."),
    "certkey": _text("Key of the client certificate."),
    "client-id": _text("OpenID: client."),
    "domain": _text("AD: domain."),
    "filter": _text("LDAP: filter of users.", 2048),
    "group_classes": _text("LDAP: object classes of groups."),
    "group_dn": _text("LDAP: base of the groups."),
    "group_filter": _text("LDAP: filter of groups.", 2048),
    "group_name_attr": _text("LDAP: attribute with the group's name."),
    "issuer-url": _text("OpenID: issuer."),
    "mode": String(description="LDAP: protocol.", optional=True, enum=("ldap", "ldaps", "ldap+starttls")),
    "port": Integer(description="Port of the server.", optional=True, minimum=1, maximum=65535),
    "prompt": _text("OpenID: prompt."),
    "scopes": _text("OpenID: scopes."),
    "secure": _flag("LDAP: use LDAPS."),
    "server1": _text("Server."),
    "server2": _text("Second server."),
    "sslversion": String(
        description="LDAPS: version of TLS.", optional=True, enum=("tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3")
    ),
    "sync-defaults-options": _text("LDAP: options of a synchronisation."),
    "sync_attributes": _text("LDAP: attributes to take over."),
    "user_attr": _text("LDAP: attribute with the user's name."),
    "user_classes": _text("LDAP: object classes of users."),
    "username-claim": _text("OpenID: claim with the user's name."),
    "verify": _flag("Verify the server's certificate."),
}


def _realms(ctx: Context) -> list[dict[str, object]]:
    result = []
    for name, realm in directory_of(ctx.settings).realms.items():
        entry: dict[str, object] = {"realm": name, "type": realm.type, "comment": realm.comment}
        if realm.options.get("default") == "1":
            entry["default"] = 1
        if realm.second_factor:
            entry["tfa"] = realm.second_factor
        result.append(entry)
    return result


def _realm(ctx: Context, realm: str) -> dict[str, object]:
    found = directory_of(ctx.settings).realms.get(realm)
    if found is None:
        raise ApiError(500, f"realm '{realm}' does not exist")
    try:
        text = Cfs(ctx.settings).read(DOMAINS)
    except FileNotFoundError:
        text = b""
    return {"type": found.type, **found.options, "digest": _digest(text)}


def _create(ctx: Context, realm: str, type: str, **options: object) -> None:  # noqa: A002
    with failing("add auth server"), change_domains(ctx.settings) as (realms, _):
        if realm in realms:
            raise ChangeError(f"authentication domain '{realm}' already exists")
        if type not in _FOREIGN:
            raise ChangeError(f"realms of type '{type}' exist already and cannot be created")
        realms[realm] = Realm(type)
        _set(realms, realm, options)
    record(ctx.settings, f"created realm '{realm}'", user=ctx.user)


def _update(
    ctx: Context, realm: str, delete: list[str] | None = None, digest: str | None = None, **options: object
) -> None:
    with failing("update auth server"), change_domains(ctx.settings) as (realms, text):
        if realm not in realms:
            raise ChangeError(f"domain '{realm}' does not exist")
        if digest is not None and digest != _digest(text.encode()):
            raise ChangeError("detected modified configuration - file changed by other user? Try again.")
        for key in delete or []:
            name = key.replace("_", "-") if key not in FOREIGN_OPTIONS else key
            if name not in OPTIONS and name not in FOREIGN_OPTIONS:
                raise ApiError(400, VERIFICATION_FAILED, {"delete": f"unknown option '{key}'"})
            realms[realm].options.pop(name, None)
        if realm in BUILTIN and (foreign := sorted(_named(options).keys() & FOREIGN_OPTIONS.keys())):
            raise ApiError(
                400,
                VERIFICATION_FAILED,
                {foreign[0]: f"not an option of realms of type '{realms[realm].type}'"},
            )
        _set(realms, realm, options)
    record(ctx.settings, f"changed realm '{realm}'", user=ctx.user)


def _delete(ctx: Context, realm: str) -> None:
    with failing("delete auth server"), change_domains(ctx.settings) as (realms, _):
        if realm not in realms:
            raise ChangeError(f"authentication domain '{realm}' does not exist")
        if realm in BUILTIN:
            raise ChangeError(f"realm '{realm}' is built in and cannot be deleted")
        del realms[realm]
    record(ctx.settings, f"deleted realm '{realm}'", user=ctx.user)


def _set(realms: dict[str, Realm], name: str, options: Mapping[str, object]) -> None:
    given = _named(options)
    if given.get("default"):
        for realm in realms.values():
            realm.options.pop("default", None)
    for key, value in given.items():
        if isinstance(value, dict):
            text = _TFA.print(value)
        else:
            text = str(int(value)) if isinstance(value, bool) else str(value)
        if text.splitlines() != [text]:
            raise ChangeError(f"option '{key}' must be one line that is not empty")
        realms[name].options[key] = text


def _named(options: Mapping[str, object]) -> dict[str, object]:
    """Keyword arguments under the options' own names again."""
    names = {name.replace("-", "_"): name for name in (*OPTIONS, *FOREIGN_OPTIONS)}
    return {names[key]: value for key, value in options.items()}


def _digest(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def _no_openid(ctx: Context, **_parameters: object) -> None:
    raise ApiError(500, "logging in with OpenID is not supported: use the realms 'pam' and 'pve'")


def _openid(name: str, description: str, parameters: Mapping[str, Parameter]) -> Operation:
    return Operation(
        method="POST",
        path=f"/access/openid/{name}",
        name=name.replace("-", "_"),
        description=f"{description} Not supported: always refused.",
        handler=_no_openid,
        parameters=parameters,
        permission=WORLD,
    )


_CHANGEABLE: Final = {**OPTIONS, **FOREIGN_OPTIONS}

OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/access/domains",
        name="index_domains",
        description="The realms one can log in to.",
        handler=_realms,
        returns=Array(
            items=Object(
                properties={
                    "realm": REALM,
                    "type": String(description="Type of the realm."),
                    "comment": String(),
                    "default": Boolean(optional=True),
                    "tfa": String(optional=True, description="Second factor that the realm demands."),
                }
            ),
            link="{realm}",
        ),
        permission=WORLD,
    ),
    Operation(
        method="POST",
        path="/access/domains",
        name="create_domain",
        description="Add a realm. Those of types other than pam and pve are kept, nobody can log in to them.",
        handler=_create,
        parameters={"realm": REALM, "type": String(description="Type.", enum=TYPES), **_CHANGEABLE},
        permission=_ALLOCATE,
        protected=True,
    ),
    Operation(
        method="GET",
        path="/access/domains/{realm}",
        name="read_domain",
        description="The options of a realm.",
        handler=_realm,
        parameters={"realm": REALM},
        returns=Object(
            properties={"type": String(), "digest": String(description="SHA-1 of the file.")},
            additional=String(),
        ),
        permission=_AUDIT,
    ),
    Operation(
        method="PUT",
        path="/access/domains/{realm}",
        name="update_domain",
        description="Change the options of a realm.",
        handler=_update,
        parameters={
            "realm": REALM,
            **_CHANGEABLE,
            "delete": String(description="Options to forget.", format="string-list", optional=True),
            "digest": String(
                description="Refuse unless the file still has this SHA-1.", optional=True, max_length=64
            ),
        },
        permission=_ALLOCATE,
        protected=True,
    ),
    Operation(
        method="DELETE",
        path="/access/domains/{realm}",
        name="delete_domain",
        description="Delete a realm. Its users stay, and cannot log in.",
        handler=_delete,
        parameters={"realm": REALM},
        permission=_ALLOCATE,
        protected=True,
    ),
    _openid(
        "auth-url",
        "Where to log in to an OpenID provider.",
        {"realm": REALM, "redirect-url": _text("Back to.")},
    ),
    _openid(
        "login",
        "Log in with an OpenID provider's answer.",
        {"state": _text("State.", 1024), "code": _text("Code.", 4096), "redirect-url": _text("Back to.")},
    ),
]
