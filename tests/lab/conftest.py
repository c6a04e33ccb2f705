"""Fixtures for tests on several nodes: labs, clusters, and journals that must stay free of complaints.

A module that wants a cluster of its own size for all its tests defines it so::

    @pytest.fixture(scope="module")
    def cluster(laboratories):
        with laboratories.cluster(nodes=5, links=2) as lab:
            yield lab
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lab import Lab
from lab.cluster import form_cluster
from lab.handmade import TEST_TOKEN
from lab.journals import Complaint, JournalWatch

ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts/lab"
TEST_SECONDS = 600
"""Limit for a test with its fixtures: joins on a busy machine take their time."""


class Laboratories:
    """Makes labs, and remembers those that are up so that their journals can be watched."""

    def __init__(self) -> None:
        self._watches: list[JournalWatch] = []
        self._complaints: list[Complaint] = []

    @contextmanager
    def lab(
        self, *, nodes: int = 3, links: int = 1, boot: list[str] | None = None, daemons: bool = True
    ) -> Iterator[Lab]:
        """Booted nodes without a cluster (``boot``: only these are on; ``daemons`` False: plain Debian)."""
        with Lab(nodes=nodes, links=links, boot=boot, daemons=daemons) as lab:
            watch = JournalWatch(lab)
            self._watches.append(watch)
            try:
                yield lab
            except BaseException:
                self.keep_journals(ARTIFACTS / f"setup-{lab.name}")
                raise
            finally:
                self._complaints += watch.complaints()
                self._watches.remove(watch)

    @contextmanager
    def cluster(self, *, nodes: int = 3, links: int = 1, token: int | None = TEST_TOKEN) -> Iterator[Lab]:
        """Nodes that formed a cluster by pvecm, with a short totem token (None: the default one)."""
        with self.lab(nodes=nodes, links=links) as lab:
            form_cluster(lab, token=token)
            yield lab

    def complaints(self) -> list[Complaint]:
        """What was logged since the last call, also in labs that are gone."""
        found, self._complaints = self._complaints, []
        for watch in self._watches:
            found += watch.complaints()
        return found

    def keep_journals(self, directory: Path) -> None:
        """Write the whole journal of every node that there is to files."""
        for watch in self._watches:
            for node in watch.lab.nodes if watch.lab.is_started else []:
                file = directory / f"{watch.lab.name}-{node.name}.journal"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(node.journal(None, "-o", "short-precise"))


@pytest.fixture(scope="session")
def laboratories() -> Laboratories:
    return Laboratories()


@pytest.fixture(scope="module")
def cluster(laboratories: Laboratories) -> Iterator[Lab]:
    """Three nodes in a cluster, shared by the tests of a module: leave it healed."""
    with laboratories.cluster() as lab:
        yield lab


@pytest.fixture
def new_lab(laboratories: Laboratories, request: pytest.FixtureRequest) -> Iterator[Callable[..., Lab]]:
    """``new_lab(nodes=3, links=1)``: booted nodes of this test's own."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(laboratories.lab(**options))
        keep_journals_if_failed(laboratories, request.node)


@pytest.fixture
def new_cluster(laboratories: Laboratories, request: pytest.FixtureRequest) -> Iterator[Callable[..., Lab]]:
    """``new_cluster(nodes=3, links=1, token=1000)``: a cluster of this test's own."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(laboratories.cluster(**options))
        keep_journals_if_failed(laboratories, request.node)


@pytest.fixture
def allow_warnings(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """``allow_warnings(regex)``: announce that this test makes a daemon log such a warning."""
    allowed: list[str] = request.node.stash.setdefault(ALLOWED, [])
    return allowed.append


@pytest.fixture(autouse=True)
def quiet_journals(laboratories: Laboratories, request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test during which one of our daemons logged a warning that was not announced."""
    shutil.rmtree(_directory(request.node), ignore_errors=True)  # of an earlier run
    yield
    keep_journals_if_failed(laboratories, request.node)
    allowed = [re.compile(pattern) for pattern in request.node.stash.get(ALLOWED, [])]
    unannounced = [
        str(complaint)
        for complaint in laboratories.complaints()
        if not any(pattern.search(str(complaint)) for pattern in allowed)
    ]
    if unannounced:
        laboratories.keep_journals(_directory(request.node))
        text = "\n".join(unannounced)
        pytest.fail(f"Daemons logged warnings that the test did not announce:\n{text}", pytrace=False)


ALLOWED = pytest.StashKey[list[str]]()
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.lab)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(TEST_SECONDS))


def keep_journals_if_failed(laboratories: Laboratories, item: pytest.Item) -> None:
    if item.stash.get(FAILED, False):
        laboratories.keep_journals(_directory(item))


def _directory(item: pytest.Item) -> Path:
    return ARTIFACTS / re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{item.path.stem}-{item.name}")
