"""Writes the reference pages from the declarations: ``python -m quorate.cli.reference DIRECTORY``.

`./dev docs` does it for docs/reference; a test fails when the pages there are stale.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from quorate.api.operations import all_operations
from quorate.api.reference import reference
from quorate.cli.pvecm import build_tree
from quorate.settings import Settings

_PVECM_HEAD: Final = """\
# pvecm

Made from the declarations by `./dev docs`; change those, not this page. `pvecm help COMMAND` shows the same.

```text
"""


def pages() -> dict[str, str]:
    """File name -> content."""
    tree = build_tree(Settings())
    return {
        "api.md": reference(all_operations()),
        "pvecm.md": f"{_PVECM_HEAD}{tree.help([]).rstrip()}\n```\n",
    }


def main() -> None:
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in pages().items():
        (directory / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
