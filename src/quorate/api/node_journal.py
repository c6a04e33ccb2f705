"""``/nodes/{node}/syslog`` and ``/journal``: the node's system log (pvecm 6.8)."""

from __future__ import annotations

from typing import Final

from quorate.api.nodes import NODE
from quorate.api.results import Page
from quorate.host.journal import COUNT_AHEAD, MAX_ENTRIES, JournalError, entries, lines, range_arguments
from quorate.schema import ApiError, Array, Check, Context, Integer, Object, Operation, Parameter, String

DEFAULT_LINES: Final = 50
DEFAULT_ENTRIES: Final = 500

_SYSLOG: Final = Check("/nodes/{node}", ("Sys.Syslog",))
_DATE: Final = r"\d{4}-\d{2}-\d{2}( \d{2}:\d{2}(:\d{2})?)?"
_UNIT: Final = r"[A-Za-z0-9@_:.\\-]{1,128}"
_CURSOR: Final = r"[A-Za-z0-9=;]{1,512}"


def _syslog(
    ctx: Context,
    node: str,
    start: int | None = None,
    limit: int = DEFAULT_LINES,
    since: str | None = None,
    until: str | None = None,
    service: str | None = None,
) -> Page:
    arguments = range_arguments(since=since, until=until, service=service)
    if start is None and since is not None:
        start = 0
    try:
        total, found = lines(arguments, start, limit or MAX_ENTRIES)
    except JournalError as err:
        raise ApiError(500, str(err)) from err
    return Page(found, total)


def _journal(
    ctx: Context,
    node: str,
    since: int | None = None,
    until: int | None = None,
    lastentries: int | None = None,
    startcursor: str | None = None,
    service: str | None = None,
    priority: int | None = None,
) -> list[dict[str, object]]:
    arguments = range_arguments(since=since, until=until, service=service, priority=priority)
    if lastentries is None and startcursor is None and since is None:
        lastentries = DEFAULT_ENTRIES
    try:
        return entries(arguments, last=lastentries, after=startcursor)
    except JournalError as err:
        raise ApiError(500, str(err)) from err


def _date(text: str) -> String:
    return String(description=f"{text}, as YYYY-MM-DD[ HH:MM[:SS]].", pattern=_DATE, optional=True)


_SERVICE: Final[Parameter] = String(description="Only of this service.", pattern=_UNIT, optional=True)

OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/nodes/{node}/syslog",
        name="syslog",
        description=(
            "Lines of the system log, oldest first. Without start and since: the last ones. "
            f"At most {COUNT_AHEAD} lines more than those of the answer are counted: in a larger log total "
            "says how many there are at least, and without start the numbers begin where counting began."
        ),
        handler=_syslog,
        parameters={
            "node": NODE,
            "start": Integer(description="Leave out so many lines.", minimum=0, optional=True),
            "limit": Integer(
                description=f"So many lines (0 = {MAX_ENTRIES}).",
                minimum=0,
                maximum=MAX_ENTRIES,
                optional=True,
                default=DEFAULT_LINES,
            ),
            "since": _date("From then on"),
            "until": _date("Until then"),
            "service": _SERVICE,
        },
        returns=Array(
            items=Object(
                properties={
                    "n": Integer(description="Number of the line, from 1."),
                    "t": String(description="The line."),
                }
            ),
            paged=True,
        ),
        permission=_SYSLOG,
        protected=True,
        proxyto_node=True,
    ),
    Operation(
        method="GET",
        path="/nodes/{node}/journal",
        name="journal",
        description="Entries of the system log, oldest first, as data. Not as the original's lines of text.",
        handler=_journal,
        parameters={
            "node": NODE,
            "since": Integer(description="From then on (epoch).", minimum=0, optional=True),
            "until": Integer(description="Until then (epoch).", minimum=0, optional=True),
            "lastentries": Integer(
                description="Only the last so many.",
                minimum=1,
                maximum=MAX_ENTRIES,
                optional=True,
                default=DEFAULT_ENTRIES,
            ),
            "startcursor": String(
                description="Only those after the entry with this cursor.", pattern=_CURSOR, optional=True
            ),
            "service": _SERVICE,
            "priority": Integer(
                description="Only of this severity (syslog's) or worse.", minimum=0, maximum=7, optional=True
            ),
        },
        returns=Array(
            items=Object(
                properties={
                    "cursor": String(description="Where the entry is in the log."),
                    "time": Integer(description="Epoch seconds.", unit="epoch"),
                    "usec": Integer(description="Microseconds of that second."),
                    "priority": Integer(description="Severity as of syslog.", minimum=0, maximum=7),
                    "message": String(description="The text."),
                    "unit": String(description="The service.", optional=True),
                    "identifier": String(description="The program.", optional=True),
                    "pid": String(description="Its process.", optional=True),
                }
            )
        ),
        permission=_SYSLOG,
        protected=True,
        proxyto_node=True,
    ),
]
