"""librrd where it is not installed."""

from types import SimpleNamespace

import pytest

from quorate.pmxcfs import librrd
from quorate.pmxcfs.librrd import LibrrdMissingError


class Loader:
    """Stands for cffi, which starts processes to look for what it does not find."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def dlopen(self, name: str) -> object:
        self.asked.append(name)
        raise OSError("cannot open shared object file")


def test_a_missing_library_is_not_looked_for_with_every_value(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    loader = Loader()
    monkeypatch.setattr(librrd, "_ffi", loader)
    monkeypatch.setattr(librrd, "_library", None)
    monkeypatch.setattr(librrd, "_missing", None)
    monkeypatch.setattr(librrd, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def refused() -> str:
        with pytest.raises(LibrrdMissingError) as caught:
            librrd.graph([])
        return str(caught.value)

    assert refused() == refused()
    assert "package librrd8" in refused()
    assert loader.asked == ["librrd.so.8"]

    now[0] += librrd.MISSING_SECONDS  # it may have been installed
    refused()
    assert loader.asked == ["librrd.so.8"] * 2
