"""Which of the machine's apt sources the base root is built from."""

from __future__ import annotations

from pathlib import Path

from lab.mirrors import debian_sources

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def test_deb822_entries_of_bookworm_are_taken(tmp_path: Path) -> None:
    _write(
        tmp_path / "sources.list.d/debian.sources",
        "Types: deb deb-src\n# a comment\nURIs: http://one.invalid/debian\n"
        "Suites: bookworm bookworm-updates bookworm-backports\nComponents: main contrib\n"
        f"Signed-By: {KEYRING}\n\n"
        "Types: deb\nURIs: http://two.invalid/security\nSuites: bookworm-security\nComponents: main\n",
    )
    assert debian_sources(tmp_path) == (
        "Types: deb\nURIs: http://one.invalid/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
        f"Signed-By: {KEYRING}\n\n"
        "Types: deb\nURIs: http://two.invalid/security\nSuites: bookworm-security\nComponents: main\n"
    )


def test_one_line_entries_are_taken(tmp_path: Path) -> None:
    _write(
        tmp_path / "sources.list",
        "# comment\ndeb http://one.invalid/debian bookworm main non-free-firmware\n"
        "deb-src http://one.invalid/debian bookworm main\n"
        f"deb [arch=amd64 signed-by={KEYRING}] http://two.invalid/debian bookworm-updates main\n",
    )
    text = debian_sources(tmp_path)
    assert text.count("Types: deb\n") == 2
    assert "URIs: http://two.invalid/debian\nSuites: bookworm-updates" in text
    assert f"Signed-By: {KEYRING}" in text


def test_sources_of_others_are_left_out(tmp_path: Path) -> None:
    _write(tmp_path / "sources.list.d/a.list", "deb https://a.invalid/apt tool-bookworm main\n")
    _write(tmp_path / "sources.list.d/b.list", "deb https://b.invalid/linux bookworm stable\n")
    _write(
        tmp_path / "sources.list.d/c.sources",
        "Types: deb\nURIs: https://c.invalid\nSuites: bookworm\nComponents: main\nSigned-By: /etc/c.gpg\n",
    )
    _write(
        tmp_path / "sources.list.d/d.sources",
        "Enabled: no\nTypes: deb\nURIs: https://d.invalid\nSuites: bookworm\nComponents: main\n",
    )
    assert debian_sources(tmp_path) == ""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
