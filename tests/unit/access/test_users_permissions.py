"""user.cfg and what follows from it (pvecm 7.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.access.permissions import (
    AccountError,
    capabilities,
    check_account,
    has_any,
    privileges,
    roles,
)
from quorate.access.roles import BUILTIN_ROLES, PRIVILEGES
from quorate.access.users import (
    AclEntry,
    Group,
    Token,
    User,
    UserConfig,
    format_user_config,
    normalize_path,
    parse_user_config,
)

TEXT = """\
user:alice@pve:1:0:Al:Ice:a@example.org:caf%C3%A9%3A%25::
token:alice@pve!full:0:0::
token:alice@pve!sep:0:1:with a comment:
user:bob@pve:1:0::::::
user:carl@pve:0:0::::::
user:dora@pve:1:1000::::::
user:root@pam:1:0::::::

group:admins:bob@pve:The admins:

pool:dev:Development:100,101:local:

role:Watcher:Sys.Audit,VM.Audit:

acl:1:/:@admins,alice@pve:PVEAuditor:
acl:0:/nodes/n1:bob@pve:PVESysAdmin:
acl:1:/pool/dev:bob@pve:PVEVMUser:
acl:1:/vms:alice@pve!sep:PVEAuditor:
acl:1:/vms/666:alice@pve:NoAccess:
"""


def _config(text: str = TEXT) -> UserConfig:
    config, warnings = parse_user_config(text)
    assert warnings == []
    return config


def test_parse() -> None:
    config = _config()
    assert config.users["alice@pve"] == User(True, 0, "Al", "Ice", "a@example.org", "café:%", "")
    assert config.tokens["alice@pve!sep"] == Token(0, True, "with a comment")
    assert config.groups["admins"] == Group({"bob@pve"}, "The admins")
    assert config.pools["dev"].vms == {"100", "101"}
    assert config.roles["Watcher"] == {"Sys.Audit", "VM.Audit"}


def test_canonical_text_comes_back() -> None:
    assert format_user_config(_config()) == TEXT


def test_root_always_exists() -> None:
    config, _ = parse_user_config("user:root@pam:0:5::::::\n")
    assert config.users["root@pam"].enable
    assert parse_user_config("")[0].users.keys() == {"root@pam"}


@pytest.mark.parametrize(
    "line",
    [
        "nonsense:a:b:",
        "user:nobody:1:0::::::",
        "user:a@pve:1:soon::::::",
        "token:ghost@pve!t:0:1::",
        "role:PVEAdmin:Sys.Audit:",
        "role:New:Sys.Nothing:",
        "acl:1:/:ghost@pve:PVEAdmin:",
        "acl:1:/:root@pam:NoSuchRole:",
        "acl:1:/a b:root@pam:PVEAdmin:",
        "group:g:ghost@pve::",
    ],
)
def test_bad_lines_are_skipped_with_a_warning(line: str) -> None:
    config, warnings = parse_user_config(f"{line}\nuser:good@pve:1:0::::::\n")
    assert len(warnings) == 1
    assert warnings[0].startswith("user.cfg line 1: ")
    assert "good@pve" in config.users


@given(st.text(max_size=300))
def test_parser_never_fails(text: str) -> None:
    config, _ = parse_user_config(text)
    assert config.users["root@pam"].enable


_name = st.from_regex(r"[a-z]{1,6}", fullmatch=True)


@given(
    st.dictionaries(_name, st.tuples(st.booleans(), st.integers(0, 2**31), st.text(max_size=20)), max_size=4)
)
def test_users_survive_writing(users: dict[str, tuple[bool, int, str]]) -> None:
    config = _config("")
    for name, (enable, expire, comment) in users.items():
        # Blanks around a field are not kept.
        text = comment.encode("utf-8", "ignore").decode().strip()
        config.users[f"{name}@pve"] = User(enable, expire, comment=text)
        config.acl.setdefault("/", AclEntry()).users[f"{name}@pve"] = {"PVEAdmin": enable}
    again, warnings = parse_user_config(format_user_config(config))
    assert warnings == []
    assert again == config


def test_accounts() -> None:
    config = _config()
    check_account(config, "alice@pve!full", 2000)
    for auth_id, text in (
        ("eve@pve", "no such user ('eve@pve')"),
        ("carl@pve", "user 'carl@pve' is disabled"),
        ("dora@pve", "user 'dora@pve' access expired"),
        ("bob@pve!x", "no such token 'x' for user 'bob@pve'"),
    ):
        with pytest.raises(AccountError) as caught:
            check_account(config, auth_id, 2000)
        assert str(caught.value) == text


def test_roles_replace_what_comes_from_above() -> None:
    config = _config()
    assert roles(config, "root@pam", "/anything") == {"Administrator": True}
    assert roles(config, "bob@pve", "/") == {"PVEAuditor": True}
    assert roles(config, "bob@pve", "/nodes/n1") == {"PVESysAdmin": False}
    assert roles(config, "bob@pve", "/nodes/n1/sub") == {"PVEAuditor": True}
    assert roles(config, "alice@pve", "/vms/666") == {"NoAccess": True}
    assert privileges(config, "alice@pve", "/vms/666") == {}
    assert roles(config, "carl@pve", "/") == {}


def test_pool_adds_roles_for_its_members() -> None:
    config = _config()
    assert roles(config, "bob@pve", "/vms/100") == {"PVEAuditor": True, "PVEVMUser": True}
    assert roles(config, "bob@pve", "/vms/102") == {"PVEAuditor": True}
    assert "PVEVMUser" in roles(config, "bob@pve", "/storage/local")


def test_tokens() -> None:
    config = _config()
    assert privileges(config, "alice@pve!full", "/") == privileges(config, "alice@pve", "/")
    assert privileges(config, "alice@pve!sep", "/") == {}
    assert "VM.Audit" in privileges(config, "alice@pve!sep", "/vms/5")
    config.acl["/vms"].tokens["alice@pve!sep"] = {"Administrator": True}
    assert "VM.Allocate" not in privileges(config, "alice@pve!sep", "/vms/5")
    config.tokens["root@pam!tk"] = Token(privsep=True)
    assert privileges(config, "root@pam!tk", "/") == {}
    assert has_any(config, "root@pam", "/", ["Sys.Modify"])
    assert not has_any(config, "root@pam!tk", "/", ["Sys.Modify"])


def test_builtin_roles() -> None:
    assert all(names <= PRIVILEGES for names in BUILTIN_ROLES.values())
    assert "Sys.Modify" not in BUILTIN_ROLES["PVEAdmin"]
    assert "VM.GuestAgent.Audit" in BUILTIN_ROLES["PVEAuditor"]
    assert len(PRIVILEGES) == 47


def test_capabilities() -> None:
    caps = capabilities(_config(), "root@pam")
    assert sorted(caps) == ["access", "dc", "mapping", "nodes", "sdn", "storage", "vms"]
    assert caps["dc"].keys() >= {"Sys.Audit", "Sys.Modify", "SDN.Use"}
    assert "VM.Allocate" in caps["vms"]
    assert "VM.Allocate" not in caps["storage"]
    assert capabilities(_config(), "carl@pve") == {area: {} for area in caps}


def test_paths() -> None:
    assert normalize_path("//nodes///n1/") == "/nodes/n1"
    assert normalize_path("") == "/"
    assert normalize_path("/a b") is None
