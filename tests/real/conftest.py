"""What the tests of API and web interface share: a node, and somebody with a page of it open.

A module whose node needs preparation defines its own ``host``; the rest then builds on that one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.real.api_host import ApiHost, Session

if TYPE_CHECKING:
    from tests.real.web_page import Visitor


@pytest.fixture(scope="module")
def host() -> Iterator[ApiHost]:
    with ApiHost() as made:
        yield made


@pytest.fixture(scope="module")
def root(host: ApiHost) -> Session:
    return host.root_session()


@pytest.fixture
def visitor(host: ApiHost) -> Iterator[Visitor]:
    from tests.real.web_page import a_visitor  # most tests of this directory need no browser

    with a_visitor(host) as found:
        yield found
