"""Return codes as typed errors; missing libraries."""

from __future__ import annotations

import pytest

from quorate.corosync import errors
from quorate.corosync._ffi import PACKAGES, library
from quorate.corosync.errors import ERRORS, CsError, LibraryError, MissingLibraryError, error_for

NAMES = {
    2: "CS_ERR_LIBRARY",
    6: "CS_ERR_TRY_AGAIN",
    7: "CS_ERR_INVALID_PARAM",
    9: "CS_ERR_BAD_HANDLE",
    12: "CS_ERR_NOT_EXIST",
    14: "CS_ERR_EXIST",
    16: "CS_ERR_INTERRUPT",
    21: "CS_ERR_FAILED_OPERATION",
    26: "CS_ERR_TOO_BIG",
    30: "CS_ERR_TOO_MANY_GROUPS",
    100: "CS_ERR_SECURITY",
}


def test_every_code_of_the_header_has_its_own_class() -> None:
    assert sorted(ERRORS) == [*range(2, 29), 30, 100]
    assert len(set(ERRORS.values())) == len(ERRORS)
    assert all(kind.NAME.startswith("CS_ERR_") for kind in ERRORS.values())


@pytest.mark.parametrize(("code", "name"), NAMES.items())
def test_an_error_knows_its_call_code_and_name(code: int, name: str) -> None:
    error = error_for("cpg_join", code, "b'group'")
    assert (error.call, error.code, error.name) == ("cpg_join", code, name)
    assert str(error).startswith(f"cpg_join (b'group') failed with {name} ({code}): ")


def test_a_code_that_is_not_in_the_header_is_still_an_error() -> None:
    error = error_for("cpg_join", 77)
    assert type(error) is CsError
    assert (error.code, error.name) == (77, "CS_ERR_77")


def test_a_class_can_be_raised_by_itself() -> None:
    with pytest.raises(LibraryError, match=r"quorum_dispatch failed with CS_ERR_LIBRARY \(2\)"):
        raise errors.LibraryError("quorum_dispatch")


def test_a_missing_library_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, "libnosuch.so.4", "libnosuch4")
    with pytest.raises(MissingLibraryError, match=r"libnosuch\.so\.4.*apt-get install libnosuch4"):
        library("libnosuch.so.4")
