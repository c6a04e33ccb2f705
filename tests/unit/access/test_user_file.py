"""user.cfg: what is written is read again, whatever the texts hold; rubbish is skipped, with a warning."""

from __future__ import annotations

import string

from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.access.roles import PRIVILEGES
from quorate.access.tickets import AgeWindow, assemble, verify
from quorate.access.users import (
    ROOT,
    AclEntry,
    Group,
    Pool,
    Token,
    User,
    UserConfig,
    format_user_config,
    parse_user_config,
)

_KEY = rsa.generate_private_key(65537, 2048)

TEXT = (
    st.text(max_size=20).map(str.strip).filter(lambda text: text.encode("utf-8", "ignore").decode() == text)
)
NAME = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=8)
REALM_NAME = st.text(string.ascii_letters, min_size=2, max_size=6)
USER_ID = st.builds(
    "{}@{}".format, st.text(string.ascii_lowercase + "äé.+", min_size=1, max_size=8), REALM_NAME
)
EXPIRE = st.integers(0, 2**40)


@st.composite
def configurations(draw: st.DrawFn) -> UserConfig:
    config = parse_user_config("")[0]
    for userid in draw(st.lists(USER_ID, max_size=4, unique=True)):
        texts = [draw(TEXT) for _ in range(4)]
        config.users[userid] = User(draw(st.booleans()), draw(EXPIRE), *texts)
    users = sorted(config.users)
    for userid in users:
        for name in draw(st.lists(REALM_NAME, max_size=2, unique=True)):
            config.tokens[f"{userid}!{name}"] = Token(draw(EXPIRE), draw(st.booleans()), draw(TEXT))
    for name in draw(st.lists(NAME, max_size=3, unique=True)):
        config.groups[name] = Group(draw(st.sets(st.sampled_from(users))), draw(TEXT))
    for name in draw(st.lists(NAME, max_size=2, unique=True)):
        vms = draw(st.sets(st.integers(100, 999).map(str), max_size=3))
        config.pools[name] = Pool(draw(TEXT), vms, draw(st.sets(NAME, max_size=2)))
    for name in draw(st.lists(NAME, max_size=2, unique=True)):
        config.roles[f"My{name}"] = draw(st.frozensets(st.sampled_from(sorted(PRIVILEGES)), max_size=4))
    roles = st.dictionaries(st.sampled_from(sorted(config.roles)), st.booleans(), min_size=1, max_size=3)
    for path in draw(
        st.lists(st.sampled_from(["/", "/vms", "/vms/100", "/nodes/n1"]), max_size=3, unique=True)
    ):
        entry = AclEntry()
        for table, names in (
            (entry.users, [user for user in users if user != ROOT]),
            (entry.groups, sorted(config.groups)),
            (entry.tokens, sorted(config.tokens)),
        ):
            if names:
                table.update(draw(st.dictionaries(st.sampled_from(names), roles, max_size=2)))
        if entry.users or entry.groups or entry.tokens:
            config.acl[path] = entry
    return config


@settings(max_examples=60, deadline=None)
@given(configurations())
def test_written_and_read_again(config: UserConfig) -> None:
    text = format_user_config(config)
    again, warnings = parse_user_config(text)
    assert warnings == []
    assert again == config
    assert format_user_config(again) == text


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=string.ascii_letters + ":@!,/%\n\t 01é", max_size=200))
def test_rubbish_never_fails_and_settles(text: str) -> None:
    config, _ = parse_user_config(text)
    assert config.users[ROOT].enable
    once = format_user_config(config)
    assert format_user_config(parse_user_config(once)[0]) == once


@settings(max_examples=30, deadline=None)
@given(st.text(alphabet=string.ascii_letters + ':%@/{}"!', min_size=1, max_size=40))
def test_a_ticket_gives_back_what_went_in(data: str) -> None:
    ticket = assemble("PVE", data, 1_700_000_000, _KEY)
    assert verify("PVE", ticket, 1_700_000_000, _KEY.public_key(), AgeWindow(-1, 1)) == data
