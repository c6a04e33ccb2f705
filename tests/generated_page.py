"""docs/reference/schemathesis.md out of what the last run of test_api_schemathesis left in artifacts/.

Run ``QUORATE_API_EXAMPLES=25 ./dev test tests/real/test_api_schemathesis.py``, then
``python -m tests.generated_page``. CI runs it with fewer examples; that the page has every operation is
checked by test_documents.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from tests.real.generated_calls import WITHOUT_SUCCESS

ROOT: Final = Path(__file__).resolve().parents[1]
LAST_RUN: Final = ROOT / "artifacts/api/schemathesis.json"
PAGE: Final = ROOT / "docs/reference/schemathesis.md"

_HEAD: Final = """\
# The API with generated values

[schemathesis](https://schemathesis.readthedocs.io) calls every operation of the OpenAPI document with values
made from its schemas, right ones and wrong ones, over a real pmxcfs with users, a token, a group, a realm, a
pool, a guest and tasks; before it every operation is called with right values. What could harm the machine is
called by a user without rights, and must be refused each time. Written by `python -m tests.generated_page`
from a run of `QUORATE_API_EXAMPLES=25 ./dev test tests/real/test_api_schemathesis.py`, which fails where a
server error is not explained, a result is not as declared, or an operation never succeeds without a reason
below. CI runs the same with two examples.

"""


def render(run: dict[str, Any]) -> str:
    """The page of one run's summary."""
    statuses = ", ".join(f"{count} x {status}" for status, count in run["statuses"].items())
    refused = len(run["refused to who has no rights"])
    lines = [
        _HEAD,
        "| | |\n|---|---|\n",
        f"| operations called | {run['called']} of {run['operations']} |\n",
        f"| examples of each kind, right and wrong, for one operation | {run['examples']} |\n",
        f"| requests | {run['requests']} |\n",
        f"| answers | {statuses} |\n",
        f"| operations that succeeded at least once | {run['succeeded']} |\n",
        f"| unexplained errors, results other than declared | {len(run['problems'])} |\n",
        f"| operations refused to a user without rights, each time | {refused} |\n",
        "\nNever successful there, and why:\n\n",
        *(f"- `{name}`: {WITHOUT_SUCCESS[name]}\n" for name in run["without success"]),
        "\nCalled with right values only, since refused logins take three seconds each: ",
        ", ".join(f"`{name}`" for name in run["right values only"]),
        ".\n\n| operation | answers |\n|---|---|\n",
    ]
    for name, answers in run["by operation"].items():
        shown = ", ".join(f"{count} x {status}" for status, count in answers.items())
        lines.append(f"| `{name}` | {shown} |\n")
    return "".join(lines)


def operations_on(page: str) -> list[str]:
    """``METHOD /path`` of every operation in the page's table of answers."""
    return re.findall(r"^\| `((?:DELETE|GET|POST|PUT) /\S*)` \|", page, re.MULTILINE)


if __name__ == "__main__":
    PAGE.write_text(render(json.loads(LAST_RUN.read_text(encoding="utf-8"))), encoding="utf-8")
