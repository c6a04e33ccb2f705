"""Every operation of the OpenAPI document with values made from its schemas, right and wrong (schemathesis).

Over a real pmxcfs that holds users, a token, a group, a realm, a pool, a guest and tasks. What must hold:
each operation succeeds at least once (or has a reason not to, `generated_calls`); there is no server error
that the answer does not explain; results are what the document says; who has no rights is refused everything
that could harm the machine. ``python -m tests.generated_page`` makes docs/reference/schemathesis.md of a run.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from quorate.access.keys import TicketKeys
from quorate.api.openapi import openapi
from quorate.api.operations import all_operations
from quorate.schema import Operation
from tests.real.api_host import PASSWORDS, Reply, Session
from tests.real.api_world import ADMIN_PASSWORD, WorldHost, an_api_on_pmxcfs
from tests.real.generated_calls import (
    PLACES,
    QUERIES,
    RELAYS,
    SLOW,
    VMIDS,
    WITHOUT_SUCCESS,
    WRITES,
    right_calls,
)
from tests.real.pmxcfs_world import NODE

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.filterwarnings("ignore"),  # of other people's libraries
    pytest.mark.timeout(1800),
]

EXAMPLES = int(os.environ.get("QUORATE_API_EXAMPLES", "2"))
"""Per operation and kind of values; with 2 a run takes one to four minutes on two cores. The recorded run
(docs/reference/schemathesis.md) is one with more."""
UNEXPLAINED = re.compile(r"internal error|Traceback|^\s*$")
LAST_RUN = Path(__file__).resolve().parents[2] / "artifacts/api/schemathesis.json"


@pytest.fixture(scope="module")
def host() -> Iterator[WorldHost]:
    with an_api_on_pmxcfs() as found:
        yield found


class Run:
    """Calls, and what came of them."""

    def __init__(self, host: WorldHost) -> None:
        self.host = host
        self.sessions = {
            "admin": host.login("admin@pve", ADMIN_PASSWORD),
            "nobody": host.login("bob@pve", PASSWORDS["bob"]),
        }
        self.answers: dict[str, Counter[int]] = defaultdict(Counter)
        self.problems: dict[str, str] = {}
        self.refusals: dict[str, Counter[int]] = defaultdict(Counter)
        """Answers to who has no rights, which are among the others as well."""
        self.places = {**PLACES, "upid": host.upid}

    def places_of(self, template: str) -> dict[str, str]:
        """What is there, for the placeholders of a path."""
        kind = next((kind for kind in VMIDS if f"/{kind}/" in template), "qemu")
        found = {**self.places, "vmid": VMIDS[kind]}
        return {key: value for key, value in found.items() if f"{{{key}}}" in template}

    def note(self, name: str, status: int, text: str) -> None:
        """An answer, as the calling user sees it."""
        self.answers[name][status] += 1
        if status >= 500 and UNEXPLAINED.search(text):
            self.problems[name] = f"{status} {text!r}"

    def right(self, name: str, places: dict[str, str], parameters: dict[str, str]) -> None:
        """A call that has to succeed."""
        method, _, template = name.partition(" ")
        found = {**self.places_of(template), **places}
        path = re.sub(r"{(\w+)}", lambda match: quote(found[match[1]], safe=""), template)
        query = ""
        form: dict[str, str] | None = parameters
        if method in ("GET", "DELETE") and parameters:
            query = "?" + "&".join(f"{key}={quote(value)}" for key, value in parameters.items())
        if method in ("GET", "DELETE"):
            form = None
        reply: Reply = self.host.api(method, path + query, self.sessions["admin"], form=form)
        self.note(name, reply.status, _message(reply.status, reply.headers, reply.body))
        if reply.status != 200 and name not in WITHOUT_SUCCESS:
            self.problems[name] = f"{reply.status} {reply.reason}"


def _message(status: int, headers: dict[str, str], body: bytes) -> str:
    if status >= 400 and headers.get("content-type", "").startswith("application/json"):
        return str(json.loads(body).get("message", ""))
    return body.decode("utf-8", "replace")


def _names(operations: list[Operation]) -> list[str]:
    return [f"{operation.method} {operation.path}" for operation in operations]


def test_every_operation_with_generated_values(host: WorldHost) -> None:
    begun = time.monotonic()
    host.within(lambda: _everything(host, begun))


def _everything(host: WorldHost, begun: float) -> None:
    run = Run(host)
    ticket = TicketKeys(host.settings).console_ticket("admin@pve", f"/nodes/{NODE}")
    changes = right_calls(ADMIN_PASSWORD, ticket, host.running)
    for name, places, parameters in changes:
        run.right(name, places, parameters)
    called = {name for name, _, _ in changes}
    for name in _names(all_operations()):
        if name.startswith("GET ") and name not in called:
            run.right(name, {}, QUERIES.get(name, {}))
    harmful, not_generated = _generated(run)
    names = _names(all_operations())
    succeeded = {name for name, answers in run.answers.items() if answers[200]}
    summary = {
        "operations": len(names),
        "examples": EXAMPLES,
        "called": len(run.answers),
        "requests": sum(answers.total() for answers in run.answers.values()),
        "statuses": dict(sorted(sum(run.answers.values(), Counter()).items())),
        "succeeded": len(succeeded),
        "refused to who has no rights": sorted(harmful),
        "right values only": sorted(not_generated),
        "without success": {name: WITHOUT_SUCCESS.get(name, "") for name in sorted(set(names) - succeeded)},
        "problems": run.problems,
        "seconds": round(time.monotonic() - begun),
        "by operation": {name: dict(sorted(run.answers[name].items())) for name in sorted(run.answers)},
    }
    LAST_RUN.parent.mkdir(parents=True, exist_ok=True)
    LAST_RUN.write_text(json.dumps(summary, indent=2) + "\n")
    assert not run.problems, json.dumps(run.problems, indent=2)
    assert sorted(run.answers) == sorted(names)
    assert sorted(set(names) - succeeded - WITHOUT_SUCCESS.keys()) == []
    assert WITHOUT_SUCCESS.keys() <= set(names)
    for name in harmful:
        # Mostly 403; some values are refused earlier, a body that is no JSON with 500 (6.2).
        assert min(run.refusals[name]) >= 400, (name, run.refusals[name])
        assert run.refusals[name][403] > 0, (name, run.refusals[name])


def _generated(run: Run) -> tuple[list[str], list[str]]:
    """Call with values from the schemas; the harmful operations, and those that are not called so."""
    import requests
    import schemathesis
    from hypothesis import HealthCheck, Phase, Verbosity, given, settings
    from hypothesis import strategies as st
    from schemathesis import Case, GenerationMode
    from schemathesis.core.failures import Failure, FailureGroup
    from schemathesis.core.result import Ok
    from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

    client = requests.Session()
    client.mount("https://", requests.adapters.HTTPAdapter(max_retries=2))

    def call(case: Case[Any], who: Session) -> None:
        name = f"{case.method} {case.operation.path}"
        response = case.call(
            base_url=f"https://127.0.0.1:{run.host.port}/api2/json",
            session=client,
            headers=who.headers(case.method.upper()),
            timeout=60,
            verify=False,
        )
        kind = {"content-type": response.headers.get("content-type", [""])[0]}
        run.note(name, response.status_code, _message(response.status_code, kind, response.content))
        if who is run.sessions["nobody"]:
            run.refusals[name][response.status_code] += 1
        if response.status_code == 200:
            try:
                case.validate_response(
                    response, checks=[response_schema_conformance, content_type_conformance]
                )
            except (Failure, FailureGroup) as err:
                run.problems[name] = str(err)[:800]

    harmful, left_out = [], []
    for found in schemathesis.openapi.from_dict(openapi(all_operations())).get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        method = operation.method.upper()
        name = f"{method} {operation.path}"
        if method != "GET" and SLOW.fullmatch(operation.path):
            left_out.append(name)
            continue
        who = run.sessions["admin"]
        if (method != "GET" and not WRITES.fullmatch(name)) or name in RELAYS:
            harmful.append(name)
            who = run.sessions["nobody"]
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            # Objects that are there, for who reads or changes them; what is deleted is made up
            made_up = mode is GenerationMode.NEGATIVE or (method == "DELETE" and name not in harmful)
            places = run.places_of(operation.path)
            if made_up:
                places = {key: value for key, value in places.items() if key == "node"}
            own: dict[str, Any] = {"path_parameters": places} if places else {}

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
                verbosity=Verbosity.quiet,
                derandomize=True,
            )
            @given(case=operation.as_strategy(generation_mode=mode, **own), who=st.just(who))
            def once(case: Case[Any], who: Session) -> None:
                call(case, who)

            try:
                once()
            except Exception as err:
                if "Unsatisfiable" not in type(err).__name__ and "negat" not in str(err).lower():
                    raise
    return harmful, left_out
