"""``/access/consent``: the text that is to be agreed to before a login (pvecm 8, decision 46)."""

from __future__ import annotations

from typing import Final

from quorate.api.cluster_options import options_of
from quorate.datacenter import MAX_TEXT, consent_text
from quorate.schema import WORLD, ApiError, Context, Operation, String


def _consent(ctx: Context) -> str:
    try:
        return consent_text(options_of(ctx.settings))
    except OSError as err:
        raise ApiError(500, f"unable to read the consent text: {err.strerror}") from err


OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/access/consent",
        name="read_consent",
        description="The text to be agreed to before a login: 'consent-text' of the cluster's options,"
        " decoded; empty where none is set. Plain text.",
        handler=_consent,
        returns=String(description="The text, or nothing.", max_length=MAX_TEXT),
        permission=WORLD,
    ),
]
