"""The privileged half (pvedaemon): root, on a local socket only (pvecm 6.4).

It verifies ticket or token and permission again, then runs the operation in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from quorate.access.directory import AuthenticationError, directory_of
from quorate.api import calls
from quorate.api.executor import Executor, ExecutorError, Job, Work
from quorate.api.front import TOKEN_PATH
from quorate.api.gate import Answered, Gate, Run
from quorate.api.protocol import Answer, Refusal, Request, credentials, failure, parse_address
from quorate.api.router import Router
from quorate.api.server import Outcome
from quorate.schema import ApiError, Context
from quorate.settings import Settings

_log = logging.getLogger(__name__)

THREADS: Final = 8
DECIDE_SECONDS: Final = 20.0


def make_work(settings: Settings, router: Router, node: str) -> Work:
    """What the process of a call does: find the operation of the job and run it."""

    def work(job: Job) -> Job:
        operation = router.find(job["method"], job["path"])
        context = Context(settings=settings, user=job["user"], node=node, client_ip=job["client_ip"])
        try:
            return calls.pack_result(calls.run_operation(operation, context, job["parameters"]))
        except ApiError as error:
            return calls.pack_error(error)

    return work


class Privileged:
    """Answers what the front passes on."""

    def __init__(self, settings: Settings, router: Router, node: str, executor: Executor) -> None:
        self._executor = executor
        self._directory = directory_of(settings)
        self._threads = ThreadPoolExecutor(THREADS, "api")
        self._gate = Gate(
            router=router,
            directory=self._directory,
            node=node,
            privileged=True,
            check_token=self._directory.user_of_token,
        )

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._executor.close()

    async def handle(self, request: Request) -> Outcome:
        try:
            if request.path == TOKEN_PATH:
                return Outcome(await self._check_token(request))
            address = parse_address(request.path)
            if address is None:
                raise Refusal(501, "no such uri")
        except Refusal as refusal:
            return Outcome(refusal.answer())
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(DECIDE_SECONDS):
                decision = await loop.run_in_executor(self._threads, self._gate.decide, request, address)
        except TimeoutError:
            text = "got timeout while reading /etc/pve - does the cluster file system hang?"
            return Outcome(failure(ApiError(500, text), address.format))
        if isinstance(decision, Answered):
            return Outcome(decision.answer, decision.user)
        assert isinstance(decision, Run)
        return Outcome(await self._run(decision, request.client_ip), decision.user)

    async def _run(self, run: Run, client_ip: str) -> Answer:
        job: Job = {
            "method": run.operation.method,
            "path": run.operation.path,
            "parameters": dict(run.parameters),
            "user": run.user,
            "client_ip": client_ip,
        }
        try:
            return calls.answer_of(await self._executor.call(job), run.format)
        except ExecutorError as err:
            _log.exception("%s %s failed", run.operation.method, run.operation.path)
            return failure(ApiError(500, str(err)), run.format)

    async def _check_token(self, request: Request) -> Answer:
        """For the front, which cannot read the secrets. Its delay on refusals is the front's business."""
        token = credentials(request.headers).token or ""
        loop = asyncio.get_running_loop()
        try:
            user = await loop.run_in_executor(self._threads, self._directory.user_of_token, token)
        except AuthenticationError as err:
            return Refusal(403, str(err)).answer()
        except OSError as err:
            return Refusal(500, f"unable to read '{err.filename}': {err.strerror}").answer()
        return Answer(200, "OK", json.dumps({"user": user}).encode(), "application/json")
