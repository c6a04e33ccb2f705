"""The reader of the guide's procedures: what it takes for a command, and when output is as the page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.guide import Action, Command, GuideError, matches, read_guide

PAGE = """# Title

<!-- lab: nodes=2 cluster=n1,n2 -->

Text with `n1# no command`.

```console
n1# pvecm status
Quorate:          Yes
```

<!-- lab: power_cut n2 -->
<!-- lab: fails -->
```console
n1# touch /etc/pve/x
n1# true
```

```
n1# only shown
```
"""


def test_a_page_is_its_setting_and_its_steps(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    guide = read_guide(page)
    assert guide is not None
    assert guide.setting == {"nodes": "2", "cluster": "n1,n2"}
    assert guide.steps == [
        Command("n1", "pvecm status", 8, False, ["Quorate:          Yes"]),
        Action(["power_cut", "n2"], 12),
        Command("n1", "touch /etc/pve/x", 15, True),
        Command("n1", "true", 16, False),
    ]


def test_a_page_without_a_procedure_is_none_and_one_without_a_setting_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\nText.\n")
    assert read_guide(page) is None
    page.write_text("```console\nn1# true\n```\n")
    with pytest.raises(GuideError, match="on top"):
        read_guide(page)
    page.write_text("<!-- lab: nodes=1 -->\n```console\noutput\n```\n")
    with pytest.raises(GuideError, match=r"page.md:3: output without a command"):
        read_guide(page)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ([], True),
        (["Quorate: Yes"], True),
        (["Nodes: 3", "Quorate: Yes"], True),
        (["Quorate: Yes", "Nodes: 3"], False),
        (["Quorate: No"], False),
        (["Quorate:"], False),
        (["Quorate: ...", "..."], True),
        (["Nodes: 3", "Nodes: 3"], False),
    ],
)
def test_expected_lines_appear_whole_and_in_order(expected: list[str], found: bool) -> None:
    assert matches(expected, "Head\nNodes:            3\nQuorate:          Yes \n") is found
