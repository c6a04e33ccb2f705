"""Every operation can be called with all that it declares, and with no more than what it requires."""

from __future__ import annotations

import inspect

import pytest

from quorate.api.operations import all_operations
from quorate.schema import Operation


@pytest.mark.parametrize("operation", all_operations(), ids=lambda each: f"{each.method} {each.path}")
def test_the_handler_takes_what_is_declared(operation: Operation) -> None:
    signature = inspect.signature(operation.handler)
    names = {name: name.replace("-", "_") for name in operation.parameters}
    required = [names[name] for name, each in operation.parameters.items() if not each.optional]
    for given in (names.values(), required):
        bound = signature.bind(None, **dict.fromkeys(given))
        assert len(bound.arguments) >= 1
