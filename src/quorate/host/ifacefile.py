"""``/etc/network/interfaces`` as a sequence of stanzas that give back every byte that they were made of.

The grammar alone: lines, continuations, where a stanza begins. What options mean is in `interfaces`, changes
are made by `ifaceedit`. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

FAMILIES: Final = ("inet", "inet6")
_KEYWORDS: Final = frozenset(
    (
        "auto",
        "iface",
        "mapping",
        "source",
        "source-directory",
        "no-auto-down",
        "no-scripts",
        "rename",
        "template",
    )
)
_PHYSICAL: Final = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One logical line. ``raw``: as it stands in the file, one line or, continued, several; ``text``: what it
    says, empty for blank lines and comments; ``is_open``: the file ends where it should go on. Two lines that
    say the same are still two."""

    raw: str
    text: str = ""
    is_comment: bool = False
    is_open: bool = False

    @property
    def words(self) -> list[str]:
        return self.text.split()

    @property
    def key(self) -> str:
        """The option's name as one finds it in either spelling: underscores, no dashes."""
        return (self.words or [""])[0].replace("-", "_")

    @property
    def value(self) -> str:
        return self.text[len((self.words or [""])[0]) :].strip()

    def ended(self) -> Line:
        """The same so that another line can follow it."""
        raw = self.raw if self.raw.endswith("\n") else f"{self.raw}\n"
        # A line that goes on is ended by an empty one.
        return (
            self
            if raw == self.raw and not self.is_open
            else Line(f"{raw}\n" if self.is_open else raw, self.text, self.is_comment)
        )


@dataclass(slots=True, eq=False)
class Stanza:
    """A keyword's line and what follows up to the next; before the first keyword there may be one without."""

    lines: list[Line] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        return self.lines[0].words if self.lines else []

    @property
    def keyword(self) -> str:
        words = self.words
        return words[0] if words and is_keyword(words[0]) else ""

    @property
    def iface(self) -> str | None:
        """The interface that it configures."""
        words = self.words
        return words[1] if self.keyword == "iface" and len(words) > 1 else None

    @property
    def family(self) -> str | None:
        """``inet`` or ``inet6``; None where the stanza has another form, which is left alone."""
        words = self.words
        return words[2] if self.iface is not None and len(words) >= 4 and words[2] in FAMILIES else None

    @property
    def method(self) -> str:
        return self.words[3] if self.family is not None else ""

    @property
    def options(self) -> list[Line]:
        return [line for line in self.lines[1:] if line.text]

    @property
    def end(self) -> int:
        """How many lines belong to it. Behind a blank line comments belong to what follows, which begins
        with the next keyword; directly behind the options they are its own."""
        count = 1
        for number, line in enumerate(self.lines[1:], 2):
            if line.text or (line.is_comment and count == number - 1):
                count = number
        return count

    @property
    def comments(self) -> list[Line]:
        """Its own comments, as the interface writes them: from the first column on."""
        return [line for line in self.lines[1 : self.end] if line.is_comment and line.raw.startswith("#")]


def parse(text: str) -> list[Stanza]:
    """The file's stanzas; `render` gives back the text."""
    stanzas: list[Stanza] = []
    for line in _logical(text):
        if not stanzas or (line.text and is_keyword(line.words[0])):
            stanzas.append(Stanza())
        stanzas[-1].lines.append(line)
    return stanzas


def render(stanzas: Iterable[Stanza]) -> str:
    return "".join(line.raw for stanza in stanzas for line in stanza.lines)


def is_keyword(word: str) -> bool:
    """Whether a line that begins so begins a stanza."""
    return word in _KEYWORDS or word.startswith("allow-")


def is_automatic(stanza: Stanza) -> bool:
    """Whether it names interfaces that are brought up at boot."""
    return stanza.keyword in ("auto", "allow-auto")


def _logical(text: str) -> Iterator[Line]:
    """Lines that end with a backslash go on; comments between their parts belong to them."""
    raw = said = ""
    for physical in _PHYSICAL.findall(text):
        content = physical.removesuffix("\n").removesuffix("\r")
        raw += physical
        if content.lstrip().startswith("#"):
            if raw == physical:
                yield Line(raw, is_comment=True)
                raw = ""
            continue
        said += content
        if content.endswith("\\"):
            said = said[:-1]
            continue
        yield Line(raw, said.strip())
        raw = said = ""
    if raw:
        yield Line(raw, said.strip(), is_open=True)
