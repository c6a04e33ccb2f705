"""What an operation is: its parameters, their checks and texts, property strings, errors.

API and command line are both derived from these declarations. No HTTP, no option syntax, no files here;
the formats of single values live in quorate.formats, permission rules in quorate.rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from quorate.formats import FormatError, check_format, split_list
from quorate.rules import ALL as ALL
from quorate.rules import ROOT_ONLY as ROOT_ONLY
from quorate.rules import WORLD as WORLD
from quorate.rules import All as All
from quorate.rules import And as And
from quorate.rules import Check as Check
from quorate.rules import Named as Named
from quorate.rules import Or as Or
from quorate.rules import Rule
from quorate.rules import Self as Self

if TYPE_CHECKING:
    from quorate.settings import Settings

Method = Literal["GET", "POST", "PUT", "DELETE"]

UNKNOWN_PARAMETER: Final = (
    "property is not defined in schema and the schema does not allow additional properties"
)
MISSING_PARAMETER: Final = "property is missing and it is not optional"
VERIFICATION_FAILED: Final = "Parameter verification failed."

TRUE_WORDS: Final = frozenset({"1", "on", "yes", "true"})
FALSE_WORDS: Final = frozenset({"0", "off", "no", "false"})


class ApiError(Exception):
    """A refusal that reaches the caller: HTTP status, text, and texts per parameter."""

    def __init__(self, status: int, message: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors: dict[str, str] | None = dict(errors) if errors is not None else None


class PropertyStringError(ValueError):
    """A property string was refused; the text is complete, several lines if several keys are wrong."""


# -- declarations ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter, or one value in a result.

    ``requires`` names another parameter that must then be given too. ``nullable``: in results, null may
    stand for the value; ``optional`` there means that the property may be missing.
    """

    description: str = ""
    optional: bool = False
    nullable: bool = False
    default: object = None
    requires: str | None = None
    typetext: str | None = None

    type_name = "any"

    def check(self, name: str, value: object, *, words: bool = False) -> tuple[object, str | None]:
        """Return (converted value, None) or (None, text of the first failing check).

        ``words`` also accepts ``on``, ``yes``, ``true`` ... for booleans (command line, files).
        """
        raise NotImplementedError

    def describe_type(self) -> str:
        """The type as help texts show it, e.g. ``<integer> (1 - N)``."""
        return self.typetext or f"<{self.type_name}>"


@dataclass(frozen=True, kw_only=True)
class String(Parameter):
    """Text; ``format`` names a rule of quorate.formats, with ``-list`` or ``-opt`` behind it if wanted.

    A value with a ``-list`` format is handed over as ``list[str]``, every other as ``str``.
    """

    format: str | None = None
    pattern: str | None = None
    max_length: int | None = None
    min_length: int | None = None
    enum: tuple[str, ...] | None = None

    type_name = "string"

    def check(self, name: str, value: object, *, words: bool = False) -> tuple[object, str | None]:
        if isinstance(value, bool):
            value = "1" if value else "0"
        elif isinstance(value, int | float):
            value = str(value)
        if not isinstance(value, str):
            return None, f"type check ('{self.type_name}') failed"
        if self.format is not None:
            try:
                check_format(self.format, value)
            except FormatError as e:
                return None, f"invalid format - {e}\n"
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            return None, "value does not match the regex pattern"
        if self.max_length is not None and len(value) > self.max_length:
            return None, f"value may only be {self.max_length} characters long"
        if self.min_length is not None and len(value) < self.min_length:
            return None, f"value must be at least {self.min_length} characters long"
        if self.enum is not None and value not in self.enum:
            return None, _not_in_enum(value, self.enum)
        if self.format is not None and self.format.endswith("-list"):
            return split_list(value), None
        return value, None

    def describe_type(self) -> str:
        if self.typetext is None and self.enum is not None:
            return "<" + " | ".join(self.enum) + ">"
        return super().describe_type()


Unit = Literal["bytes", "seconds", "epoch", "fraction"]
"""What a number in a result counts, so that a table or page can show it as people read it; ``epoch`` is a
time in seconds since 1970, ``fraction`` a share of 1."""


@dataclass(frozen=True, kw_only=True)
class _Numeric(Parameter):
    minimum: int | float | None = None
    maximum: int | float | None = None
    unit: Unit | None = None

    def describe_type(self) -> str:
        if self.typetext is None and (self.minimum is not None or self.maximum is not None):
            low = "-N" if self.minimum is None else str(self.minimum)
            high = "N" if self.maximum is None else str(self.maximum)
            return f"<{self.type_name}> ({low} - {high})"
        return super().describe_type()

    def _in_range(self, number: float) -> str | None:
        if self.maximum is not None and number > self.maximum:
            return f"value must have a maximum value of {self.maximum}"
        if self.minimum is not None and number < self.minimum:
            return f"value must have a minimum value of {self.minimum}"
        return None


@dataclass(frozen=True, kw_only=True)
class Integer(_Numeric):
    """A whole number, handed over as ``int``; text is accepted (``^[+-]?\\d+$``)."""

    enum: tuple[int, ...] | None = None

    type_name = "integer"

    def check(self, name: str, value: object, *, words: bool = False) -> tuple[object, str | None]:
        text = str(int(value)) if isinstance(value, bool) else value
        if isinstance(text, int):
            number = text
        elif isinstance(text, str) and len(text) <= MAX_DIGITS and re.fullmatch(r"[+-]?[0-9]+", text):
            number = int(text)
        else:
            return None, _type_failed(self.type_name, value)
        problem = self._in_range(number)
        if problem is None and self.enum is not None and number not in self.enum:
            problem = _not_in_enum(str(number), tuple(str(e) for e in self.enum))
        return (number, None) if problem is None else (None, problem)


@dataclass(frozen=True, kw_only=True)
class Number(_Numeric):
    """A decimal number, handed over as ``float``."""

    type_name = "number"

    def check(self, name: str, value: object, *, words: bool = False) -> tuple[object, str | None]:
        text = str(value) if isinstance(value, int | float | str) else ""
        if not re.fullmatch(NUMBER_PATTERN, text):
            return None, _type_failed(self.type_name, value)
        number = float(text)
        problem = self._in_range(number)
        return (number, None) if problem is None else (None, problem)


@dataclass(frozen=True, kw_only=True)
class Boolean(Parameter):
    """Handed over as ``bool``. In the API exactly 0 or 1 (or JSON true, false); words elsewhere."""

    type_name = "boolean"

    def check(self, name: str, value: object, *, words: bool = False) -> tuple[object, str | None]:
        if isinstance(value, bool):
            return value, None
        if isinstance(value, int | str):
            text = str(value)
            if text in ("0", "1"):
                return text == "1", None
            if words and (parsed := parse_boolean(text)) is not None:
                return parsed, None
        return None, _type_failed(self.type_name, value)


@dataclass(frozen=True, kw_only=True)
class PropertyString(Parameter):
    """``key=value,...`` (section 0.1), handed over as ``dict[str, object]`` of converted values."""

    keys: Mapping[str, Parameter] = field(default_factory=dict)
    default_key: str | None = None
    max_length: int | None = None

    type_name = "string"

    def check(self, name: str, value: object, *, words: bool = False) -> tuple[object, str | None]:
        if isinstance(value, int | float):
            value = str(value)
        if not isinstance(value, str):
            return None, f"type check ('{self.type_name}') failed"
        try:
            parsed = self.parse(value, prefix=name)
        except PropertyStringError as e:
            return None, f"invalid format - {e}\n"
        if self.max_length is not None and len(value) > self.max_length:
            return None, f"value may only be {self.max_length} characters long"
        return parsed, None

    def parse(self, text: str, *, prefix: str | None = None) -> dict[str, object]:
        """Parse ``text``; raises PropertyStringError. ``prefix`` is the parameter's name in error lines."""
        raw: dict[str, object] = {}
        for part in text.split(","):
            if not part.strip():
                continue
            key, value = self._split_part(part)
            if key in raw:
                raise PropertyStringError(f"duplicate key in comma-separated list property: {key}")
            raw[key] = value
        values, errors = verify(raw, self.keys, words=True)
        if errors:
            before = f"{prefix}." if prefix else ""
            lines = (f"{before}{key}: {text.rstrip()}" for key, text in sorted(errors.items()))
            raise PropertyStringError("\n".join(["format error", *lines]))
        return values

    def print(self, values: Mapping[str, object]) -> str:
        """The canonical text: default key first and bare, mandatory keys, then the others, each sorted."""

        def rank(key: str) -> tuple[int, str]:
            if key == self.default_key:
                return 0, key
            return (2 if self.keys[key].optional else 1), key

        parts = []
        for key in sorted(values, key=rank):
            value = values[key]
            if value is None:
                continue
            text = ("1" if value else "0") if isinstance(value, bool) else str(value)
            if "," in text:
                raise PropertyStringError(f"illegal value with commas for {key}")
            parts.append(text if key == self.default_key else f"{key}={text}")
        return ",".join(parts)

    def describe_type(self) -> str:
        if self.typetext is not None:
            return self.typetext
        keys = sorted(self.keys, key=lambda k: (k != self.default_key, self.keys[k].optional, k))
        text = ""
        for key in keys:
            kind = self.keys[key]
            item = (
                f"{key}={kind.describe_type()}"
                if key != self.default_key
                else f"[{key}=]{kind.describe_type()}"
            )
            comma = "," if text else ""
            if kind.optional:
                text += f" [{comma}{item}]" if text else f"[{item}]"
            else:
                text += comma + item
        return text

    def _split_part(self, part: str) -> tuple[str, str]:
        if "=" in part:
            key, _, value = part.partition("=")
            if not key or not value:
                raise PropertyStringError("missing key in comma-separated list property")
            return key, value
        if self.default_key is None:
            raise PropertyStringError("value without key, but schema does not define a default key")
        return self.default_key, part


@dataclass(frozen=True, kw_only=True)
class Array(Parameter):
    """A list; every element is checked against ``items``. Handed over as ``list``.

    In results only: ``link`` names the child path of an element, with its properties as placeholders
    (``{name}``); ``paged``: the list may be a part, the envelope then has ``total``; ``has_changes``: the
    envelope may have ``changes``, a text of what waits for being applied.
    """

    items: Parameter = field(default_factory=lambda: String())
    link: str | None = None
    paged: bool = False
    has_changes: bool = False

    type_name = "array"

    def check(self, name: str, value: object, *, words: bool = False) -> tuple[object, str | None]:
        if not isinstance(value, list | tuple):
            return None, "type check ('array') failed"
        converted = []
        for index, element in enumerate(value):
            result, problem = self.items.check(f"{name}[{index}]", element, words=words)
            if problem is not None:
                return None, problem
            converted.append(result)
        return converted, None


@dataclass(frozen=True, kw_only=True)
class AnyValue(Parameter):
    """A value of any kind, handed over as it came."""

    def check(self, name: str, value: object, *, words: bool = False) -> tuple[object, str | None]:
        return value, None


@dataclass(frozen=True, kw_only=True)
class Null(Parameter):
    """No value; what an operation returns that has nothing to say."""

    type_name = "null"

    def check(self, name: str, value: object, *, words: bool = False) -> tuple[object, str | None]:
        return (None, None) if value is None else (None, "type check ('null') failed")


@dataclass(frozen=True, kw_only=True)
class Object(Parameter):
    """An object. ``additional``: what properties beside the named ones hold; None = there are none."""

    properties: Mapping[str, Parameter] = field(default_factory=dict)
    additional: Parameter | None = None

    type_name = "object"

    def check(self, name: str, value: object, *, words: bool = False) -> tuple[object, str | None]:
        if not isinstance(value, Mapping):
            return None, "type check ('object') failed"
        declared = dict(self.properties)
        if self.additional is not None:
            declared.update({str(key): self.additional for key in value if key not in declared})
        values, errors = verify({str(key): element for key, element in value.items()}, declared, words=words)
        if errors:
            key, text = next(iter(sorted(errors.items())))
            return None, f"{key}: {text}"
        return values, None


NUMBER_PATTERN: Final = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"

MAX_DIGITS: Final = 30
"""Longest integer taken from text; all real ones fit, and conversion stays cheap."""

NULL: Final = Null()

Parameters = Mapping[str, Parameter]


def indexed(name: str, count: int, parameter: Parameter) -> dict[str, Parameter]:
    """``link``, 8 -> ``link0`` ... ``link7``, all with one declaration."""
    return {f"{name}{n}": parameter for n in range(count)}


# -- checking -------------------------------------------------------------------------------------------


def verify(
    params: Mapping[str, object], declared: Parameters, *, words: bool = False
) -> tuple[dict[str, object], dict[str, str]]:
    """Check and convert ``params``; returns (values, texts per wrong parameter), never raises.

    Parameters that were not given are absent from the values: defaults are the handler's business.
    ``None`` counts as not given. ``words``: see Boolean.
    """
    values: dict[str, object] = {}
    problems: dict[str, list[str]] = {}
    given = {key: value for key, value in params.items() if value is not None}
    for key, value in given.items():
        parameter = declared.get(key)
        if parameter is None:
            problems.setdefault(key, []).append(UNKNOWN_PARAMETER)
            continue
        converted, problem = parameter.check(key, value, words=words)
        if problem is not None:
            problems.setdefault(key, []).append(problem)
        else:
            values[key] = converted
        if parameter.requires is not None and parameter.requires not in given:
            text = f"missing property required by '{key}'"
            problems.setdefault(parameter.requires, []).append(text)
    for key, parameter in declared.items():
        if not parameter.optional and key not in given:
            problems.setdefault(key, []).append(MISSING_PARAMETER)
    # Several texts for one key are joined by a backslash and an n, as clients of the original know it.
    return values, {key: "\\n".join(texts) for key, texts in problems.items()}


def verified(params: Mapping[str, object], declared: Parameters, *, words: bool = False) -> dict[str, object]:
    """As verify(), but raises ApiError 400 with all texts when anything is wrong."""
    values, errors = verify(params, declared, words=words)
    if errors:
        raise ApiError(400, VERIFICATION_FAILED, errors)
    return values


def parse_boolean(text: str) -> bool | None:
    """``1 on yes true`` / ``0 off no false`` in any case; None for anything else."""
    lowered = text.lower()
    if lowered in TRUE_WORDS:
        return True
    if lowered in FALSE_WORDS:
        return False
    return None


# -- operations -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Who calls and where: handed to every handler as its first argument."""

    settings: Settings
    user: str
    node: str
    client_ip: str = ""


Permission = Rule

Handler = Callable[..., object]
"""``handler(ctx: Context, **params)``; a dash in a parameter's name becomes an underscore."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path. ``path`` holds placeholders as ``{node}``, which are parameters too.

    protected: must run as root (passed on to the privileged half); proxyto_node: runs on the node
    named by the ``node`` placeholder; allow_token: may be called with an API token; returns: what the
    handler's result looks like, as a declaration (String, Integer, Object, Array ... or NULL); is_image:
    the result is an image, which the format ``png`` gives by itself; may_be_text: with some parameters the
    answer is plain text without an envelope.
    """

    method: Method
    path: str
    name: str
    description: str
    handler: Handler
    parameters: Parameters = field(default_factory=dict)
    returns: Parameter = NULL
    permission: Permission = ROOT_ONLY
    protected: bool = False
    proxyto_node: bool = False
    allow_token: bool = True
    is_image: bool = False
    may_be_text: bool = False

    def call(self, ctx: Context, params: Mapping[str, object], *, words: bool = False) -> object:
        """Check the parameters (ApiError 400) and run the handler."""
        values = verified(params, self.parameters, words=words)
        return self.handler(ctx, **{key.replace("-", "_"): value for key, value in values.items()})


def _type_failed(type_name: str, value: object) -> str:
    shown = value if isinstance(value, str | int | float) else type(value).__name__
    return f"type check ('{type_name}') failed - got '{shown}'"


def _not_in_enum(value: str, enum: tuple[str, ...]) -> str:
    return f"value '{value}' does not have a value in the enumeration '{', '.join(enum)}'"
