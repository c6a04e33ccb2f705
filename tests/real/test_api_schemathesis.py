"""Every operation of the OpenAPI document with values made from its schemas, right and wrong (schemathesis).

What must hold: no server error that the answer does not explain, and results that are what the document says.
Operations that could harm the machine are called by a user without any rights, and must be refused.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quorate.access.crypt import hash_password
from quorate.api.openapi import openapi
from quorate.api.operations import all_operations
from quorate.tasks import local_node
from tests.real.api_host import PASSWORDS, USERS, ApiHost, Session

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.filterwarnings("ignore"),  # of other people's libraries
    pytest.mark.timeout(600),
]

EXAMPLES = 2
"""Per operation and kind of values; a run takes one to four minutes on two cores."""
ADMIN_PASSWORD = "an administrator"
HARMLESS_WRITES = re.compile(r"/access/(groups|roles|acl)\b.*|/pools.*|/cluster/options")
"""What an administrator may change here: nothing but files of the temporary cluster."""
SLOW = re.compile(r"/access/(ticket|vncticket|password|tfa|openid).*")
"""Refusals of logins take three seconds each; they have tests of their own."""
UNEXPLAINED = re.compile(r"internal error|Traceback|^\s*$")
LAST_RUN = Path(__file__).resolve().parents[2] / "artifacts/api/schemathesis.json"


@pytest.fixture(scope="module")
def host() -> Iterator[ApiHost]:
    api = ApiHost()
    mount = api.settings.mountpoint
    (mount / "user.cfg").write_text(USERS + "user:admin@pve:1:0::::::\nacl:1:/:admin@pve:Administrator:\n")
    with (mount / "priv/shadow.cfg").open("a") as file:
        file.write(f"admin:{hash_password(ADMIN_PASSWORD)}:\n")
    try:
        api.start()
        yield api
    finally:
        api.close()


def test_every_operation_with_generated_values(host: ApiHost) -> None:
    import requests
    import schemathesis
    from hypothesis import HealthCheck, Phase, Verbosity, given, settings
    from hypothesis import strategies as st
    from schemathesis import Case, GenerationMode
    from schemathesis.core.result import Ok
    from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

    sessions = {
        "admin": host.login("admin@pve", ADMIN_PASSWORD),
        "auditor": host.login("alice@pve", PASSWORDS["alice"]),
        "nobody": host.login("bob@pve", PASSWORDS["bob"]),
    }
    document = openapi(all_operations())
    statuses: Counter[int] = Counter()
    problems: dict[str, str] = {}
    called: Counter[str] = Counter()
    client = requests.Session()
    client.mount("https://", requests.adapters.HTTPAdapter(max_retries=2))

    def call(case: Case[Any], who: Session) -> None:
        name = f"{case.method} {case.operation.path}"
        response = case.call(
            base_url=f"https://127.0.0.1:{host.port}/api2/json",
            session=client,
            headers=who.headers(case.method.upper()),
            timeout=60,
            verify=False,
        )
        called[name] += 1
        statuses[response.status_code] += 1
        if response.status_code >= 500:
            text = response.text
            if response.headers.get("content-type", [""])[0].startswith("application/json"):
                text = str(json.loads(response.text).get("message", ""))
            if UNEXPLAINED.search(text):
                problems[name] = f"{response.status_code} {text!r}"
        elif response.status_code == 200:
            try:
                case.validate_response(
                    response, checks=[response_schema_conformance, content_type_conformance]
                )
            except Exception as err:  # noqa: BLE001 - whatever it finds is a finding
                problems[name] = str(err)[:800]

    left_out = []
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if SLOW.fullmatch(operation.path) and operation.method.upper() != "GET":
            left_out.append(f"{operation.method.upper()} {operation.path}")
            continue
        who = sessions["nobody"]
        if operation.method.upper() == "GET":
            who = sessions["auditor"]
        elif HARMLESS_WRITES.fullmatch(operation.path):
            who = sessions["admin"]
        own_node: dict[str, Any] = {}
        if "{node}" in operation.path:
            own_node["path_parameters"] = {"node": local_node()}
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
                verbosity=Verbosity.quiet,
                derandomize=True,
            )
            @given(case=operation.as_strategy(generation_mode=mode, **own_node), who=st.just(who))
            def run(case: Case[Any], who: Session) -> None:
                call(case, who)

            try:
                run()
            except Exception as err:
                if "Unsatisfiable" not in type(err).__name__ and "negat" not in str(err).lower():
                    raise
    summary = {
        "operations": len(called),
        "requests": called.total(),
        "statuses": dict(sorted(statuses.items())),
        "left out": left_out,
        "problems": problems,
    }
    LAST_RUN.parent.mkdir(parents=True, exist_ok=True)
    LAST_RUN.write_text(json.dumps(summary, indent=2) + "\n")
    assert not problems, json.dumps(summary, indent=2)
    assert len(called) + len(left_out) == len(all_operations())
