"""Who may call an operation: rules as data, which the gate asks and the documents show (pvecm 6.4).

No files and no users here: a rule asks `Rights`. What a role holds on a path is quorate.access.permissions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

ROOT: Final = "root@pam"
"""Passes every rule; its API tokens do not."""

_PLACEHOLDER: Final = re.compile(r"{([\w-]+)}")

Values = Mapping[str, object]
"""Values of parameters by name: those of the path as text; when a rule needs others, all, checked and
converted."""


class Rights(Protocol):
    """The caller, as far as rules ask."""

    @property
    def user(self) -> str:
        """User id, or full id of an API token."""

    def may(self, path: str, *privileges: str) -> bool:
        """Whether the caller holds at least one of the privileges on the path."""

    def groups_of(self, userid: str) -> Iterable[str]:
        """The groups that a user is a member of; none for an unknown one."""


class Rule:
    """What all rules have. Subclasses are values: comparable, printable, without state."""

    def refusal(self, rights: Rights, values: Values) -> str | None:
        """None if the caller may, else what is missing, for ``Permission check failed (...)``."""
        raise NotImplementedError

    def parameters(self) -> frozenset[str]:
        """Names of the parameters whose values the rule looks at."""
        return frozenset()

    def text(self) -> str:
        """The rule in words, for reference pages."""
        raise NotImplementedError

    def describe(self) -> dict[str, object]:
        """The rule as plain data, for documents that programs read."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class World(Rule):
    """No credentials are needed, none are looked at."""

    def refusal(self, rights: Rights, values: Values) -> str | None:
        return None

    def text(self) -> str:
        return "Everybody, also without a login."

    def describe(self) -> dict[str, object]:
        return {"user": "world"}


@dataclass(frozen=True, slots=True)
class All(Rule):
    """Any authenticated user. ``note`` says what the handler looks at itself, or what it leaves out."""

    note: str = ""

    def refusal(self, rights: Rights, values: Values) -> str | None:
        return None

    def text(self) -> str:
        return f"Every user who is logged in. {self.note}".strip()

    def describe(self) -> dict[str, object]:
        return {"user": "all", **({"note": self.note} if self.note else {})}


@dataclass(frozen=True, slots=True)
class RootOnly(Rule):
    """Nothing declared: only root@pam itself, not even its tokens."""

    def refusal(self, rights: Rights, values: Values) -> str | None:
        return None if rights.user == ROOT else f"user != {ROOT}"

    def text(self) -> str:
        return f"Only {ROOT}, not its API tokens."

    def describe(self) -> dict[str, object]:
        return {"user": ROOT}


@dataclass(frozen=True, slots=True)
class Check(Rule):
    """One of ``privileges`` (``every``: all of them) on ``path``, which may hold ``{parameter}``."""

    path: str
    privileges: tuple[str, ...]
    every: bool = False

    def refusal(self, rights: Rights, values: Values) -> str | None:
        path = _PLACEHOLDER.sub(lambda match: str(values.get(match[1], "")), self.path)
        if self.every:
            missing = [name for name in self.privileges if not rights.may(path, name)]
            return f"{path}, {missing[0]}" if missing else None
        return None if rights.may(path, *self.privileges) else f"{path}, {'|'.join(self.privileges)}"

    def parameters(self) -> frozenset[str]:
        return frozenset(_PLACEHOLDER.findall(self.path))

    def text(self) -> str:
        return f"{(' and ' if self.every else ' or ').join(self.privileges)} on {self.path}"

    def describe(self) -> dict[str, object]:
        how = "every" if self.every else "any"
        return {"check": {"path": self.path, "privileges": list(self.privileges), "need": how}}


@dataclass(frozen=True, slots=True)
class Self(Rule):
    """The caller is the user named by ``parameter`` (a token is not its user)."""

    parameter: str = "userid"

    def refusal(self, rights: Rights, values: Values) -> str | None:
        return None if values.get(self.parameter) == rights.user else f"user != {self.parameter}"

    def parameters(self) -> frozenset[str]:
        return frozenset({self.parameter})

    def text(self) -> str:
        return f"The user named by '{self.parameter}'"

    def describe(self) -> dict[str, object]:
        return {"self": self.parameter}


@dataclass(frozen=True, slots=True)
class Named(Rule):
    """A rule that no other form can say: ``test`` decides; ``name`` and ``meaning`` are shown."""

    name: str
    meaning: str
    test: Callable[[Rights, Values], bool]
    needs: frozenset[str] = frozenset()

    def refusal(self, rights: Rights, values: Values) -> str | None:
        return None if self.test(rights, values) else self.name

    def parameters(self) -> frozenset[str]:
        return self.needs

    def text(self) -> str:
        return self.meaning

    def describe(self) -> dict[str, object]:
        return {"rule": self.name, "text": self.meaning}


class _Combined(Rule):
    __slots__ = ("rules",)
    word = ""

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, _Combined) and other.rules == self.rules

    def __hash__(self) -> int:
        return hash((type(self), self.rules))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(repr(rule) for rule in self.rules)})"

    def parameters(self) -> frozenset[str]:
        return frozenset().union(*(rule.parameters() for rule in self.rules))

    def text(self) -> str:
        return f", {self.word} ".join(
            f"({rule.text()})" if isinstance(rule, _Combined) else rule.text() for rule in self.rules
        )

    def describe(self) -> dict[str, object]:
        return {self.word: [rule.describe() for rule in self.rules]}


class And(_Combined):
    """Every one of the rules; the first that refuses is named."""

    word = "and"

    def refusal(self, rights: Rights, values: Values) -> str | None:
        refusals = (rule.refusal(rights, values) for rule in self.rules)
        return next((refusal for refusal in refusals if refusal is not None), None)


class Or(_Combined):
    """At least one of the rules; the refusal of the last is named, so the usual way comes last."""

    word = "or"

    def refusal(self, rights: Rights, values: Values) -> str | None:
        refusal: str | None = "nothing allows it"
        for rule in self.rules:
            refusal = rule.refusal(rights, values)
            if refusal is None:
                return None
        return refusal


WORLD: Final = World()
ALL: Final = All()
ROOT_ONLY: Final = RootOnly()
