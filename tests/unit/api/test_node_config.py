"""A node's settings through the API (pvecm 10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.schema import ApiError
from tests.unit.api.access_world import AccessWorld

GET, PUT = "GET /nodes/{node}/config", "PUT /nodes/{node}/config"


@pytest.fixture
def world(tmp_path: Path) -> AccessWorld:
    return AccessWorld(tmp_path)


def test_set_shown_and_removed(world: AccessWorld) -> None:
    empty = world.call(GET, node="n1")
    assert isinstance(empty, dict)
    assert list(empty) == ["digest"]
    options = {
        "startall-onboot-delay": "30",
        "description": "Rack 4\nleft",
        "wakeonlan": "mac=02:00:00:00:00:01",
    }
    assert world.call(PUT, node="n1", digest=str(empty["digest"]), **options) is None
    assert world.text("nodes/n1/config") == (
        "#Rack 4\n#left\n\nstartall-onboot-delay: 30\nwakeonlan: 02:00:00:00:00:01\n"
    )
    found = world.call(GET, node="n1")
    assert isinstance(found, dict)
    digest = found.pop("digest")
    assert found == {
        "startall-onboot-delay": 30,
        "description": "Rack 4\nleft",
        "wakeonlan": "02:00:00:00:00:01",
    }
    assert world.call(GET, node="n1", property="wakeonlan") == {
        "wakeonlan": "02:00:00:00:00:01",
        "digest": digest,
    }
    world.call(PUT, node="n1", delete="description,wakeonlan,acme")
    assert world.text("nodes/n1/config") == "startall-onboot-delay: 30\n"


def test_two_who_change_at_once(world: AccessWorld) -> None:
    world.call(PUT, node="n1", description="one")
    with pytest.raises(ApiError, match=r"^detected modified configuration"):
        world.call(PUT, node="n1", description="two", digest="0" * 40)
    assert world.text("nodes/n1/config") == "#one\n\n"


def test_what_others_wrote_stays(world: AccessWorld) -> None:
    (world.mount / "nodes/n1/config").write_text("future-thing: 7\nstartall-onboot-delay: 9999\n")
    world.call(PUT, node="n1", description="x")
    assert world.text("nodes/n1/config") == "#x\n\nfuture-thing: 7\nstartall-onboot-delay: 9999\n"
    world.call(PUT, node="n1", **{"startall-onboot-delay": "1"})
    assert "startall-onboot-delay: 1\n" in world.text("nodes/n1/config")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("startall-onboot-delay", "301"),
        ("wakeonlan", "x"),
        ("delete", "future-thing"),
        ("acme", "account=a b"),
    ],
)
def test_values_that_are_refused(world: AccessWorld, key: str, value: str) -> None:
    with pytest.raises(ApiError) as refused:
        world.call(PUT, node="n1", **{key: value})
    assert (refused.value.status, list(refused.value.errors or ())) == (400, [key])
    assert not (world.mount / "nodes/n1/config").exists()


def test_without_quorum_nothing_changes(world: AccessWorld) -> None:
    local = world.mount / "local"
    local.unlink()  # as if the file system were not there
    with pytest.raises(ApiError, match="no quorum"):
        world.call(PUT, node="n1", description="x")
