"""Permission rules as data: what they allow, what they say, which parameters they look at (pvecm 6.4)."""

from __future__ import annotations

import pytest

from quorate.rules import ALL, ROOT_ONLY, WORLD, All, And, Check, Named, Or, Rule, Self


class Caller:
    def __init__(self, user: str, *grants: tuple[str, str]) -> None:
        self.user = user
        self._grants = grants

    def may(self, path: str, *privileges: str) -> bool:
        return any((path, name) in self._grants for name in privileges)

    def groups_of(self, userid: str) -> list[str]:
        return ["ops"] if userid == "bob@pve" else []


BOB = Caller("bob@pve", ("/nodes/n1", "Sys.Audit"), ("/access/groups/ops", "User.Modify"))
AUDIT = Check("/nodes/{node}", ("Sys.Audit", "Sys.Modify"))
GROUPS = Named(
    "User.Modify on a group",
    "User.Modify on one of the user's groups",
    lambda rights, values: any(
        rights.may(f"/access/groups/{group}", "User.Modify")
        for group in rights.groups_of(str(values["userid"]))
    ),
    frozenset({"userid"}),
)


@pytest.mark.parametrize(
    ("rule", "values", "refusal"),
    [
        (WORLD, {}, None),
        (ALL, {}, None),
        (All("Only own entries."), {}, None),
        (ROOT_ONLY, {}, "user != root@pam"),
        (AUDIT, {"node": "n1"}, None),
        (AUDIT, {"node": "n2"}, "/nodes/n2, Sys.Audit|Sys.Modify"),
        (
            Check("/nodes/{node}", ("Sys.Audit", "Sys.Modify"), every=True),
            {"node": "n1"},
            "/nodes/n1, Sys.Modify",
        ),
        (Self(), {"userid": "bob@pve"}, None),
        (Self(), {"userid": "eve@pve"}, "user != userid"),
        (Self(), {}, "user != userid"),
        (GROUPS, {"userid": "bob@pve"}, None),
        (GROUPS, {"userid": "eve@pve"}, "User.Modify on a group"),
        (And(AUDIT, Self()), {"node": "n1", "userid": "bob@pve"}, None),
        (And(AUDIT, Self()), {"node": "n1", "userid": "eve@pve"}, "user != userid"),
        (Or(Self(), AUDIT), {"node": "n1", "userid": "eve@pve"}, None),
        (Or(Self(), AUDIT), {"node": "n2", "userid": "eve@pve"}, "/nodes/n2, Sys.Audit|Sys.Modify"),
        (Or(), {}, "nothing allows it"),
    ],
)
def test_refusal(rule: Rule, values: dict[str, object], refusal: str | None) -> None:
    assert rule.refusal(BOB, values) == refusal


def test_root_only_means_the_user_not_its_tokens() -> None:
    assert ROOT_ONLY.refusal(Caller("root@pam"), {}) is None
    assert ROOT_ONLY.refusal(Caller("root@pam!tk"), {}) == "user != root@pam"


def test_rules_say_which_parameters_they_look_at() -> None:
    assert Or(And(AUDIT, GROUPS), Self("who")).parameters() == {"node", "userid", "who"}
    assert ALL.parameters() == frozenset()


def test_rules_are_data() -> None:
    rule = Or(Self(), And(AUDIT, GROUPS))
    assert rule.describe() == {
        "or": [
            {"self": "userid"},
            {
                "and": [
                    {
                        "check": {
                            "path": "/nodes/{node}",
                            "privileges": ["Sys.Audit", "Sys.Modify"],
                            "need": "any",
                        }
                    },
                    {"rule": "User.Modify on a group", "text": "User.Modify on one of the user's groups"},
                ]
            },
        ]
    }
    assert rule.text() == (
        "The user named by 'userid', or (Sys.Audit or Sys.Modify on /nodes/{node}, "
        "and User.Modify on one of the user's groups)"
    )
    assert rule == Or(Self(), And(AUDIT, GROUPS))
    assert rule != And(Self(), And(AUDIT, GROUPS))
