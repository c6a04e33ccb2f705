"""Before an operation runs: who is calling, may they, and where does it run (pvecm 6.4).

Both halves of the API ask the same gate; the privileged one trusts no answer of the front. It reads key and
user files, so it is called off the event loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quorate.access.directory import AuthenticationError, Directory
from quorate.access.keys import KeyFileError
from quorate.access.users import normalize_path, split_token
from quorate.api.protocol import (
    FORMATS,
    IMAGE_FORMAT,
    Address,
    Answer,
    Refusal,
    Request,
    credentials,
    decode_body,
    decode_form,
    failure,
    merge_parameters,
    one_line,
)
from quorate.api.router import Match, Router
from quorate.rules import ROOT, WORLD
from quorate.schema import ApiError, Operation, verified

_log = logging.getLogger(__name__)

LOOP_HEADER = "pvedisableproxy"
CSRF_HEADER = "csrfpreventiontoken"

TokenCheck = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Run:
    """Run the operation here."""

    operation: Operation
    parameters: Mapping[str, object]
    user: str
    format: str


@dataclass(frozen=True, slots=True)
class PassToRoot:
    """The operation needs root: pass the request on to the privileged half."""

    user: str


@dataclass(frozen=True, slots=True)
class Forward:
    """The operation belongs to another node: pass the request on to it."""

    node: str
    user: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The request ends here."""

    answer: Answer
    user: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """What permission rules may ask about the caller (quorate.rules.Rights)."""

    directory: Directory
    user: str

    def may(self, path: str, *privileges: str) -> bool:
        normal = normalize_path(path)
        return normal is not None and self.directory.may(self.user, normal, *privileges)

    def groups_of(self, userid: str) -> list[str]:
        return [name for name, group in self.directory.users.groups.items() if userid in group.users]


Decision = Run | PassToRoot | Forward | Answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """``privileged``: this is root's half: it runs everything itself and asks for no CSRF token.

    ``check_token`` gives the full token id of ``ID=SECRET`` or raises `AuthenticationError`.
    """

    router: Router
    directory: Directory
    node: str
    privileged: bool
    check_token: TokenCheck

    def decide(self, request: Request, address: Address) -> Decision:
        """What to do with a request. Refusals and errors come back as answers."""
        user = ""
        form = address.format if address.format in FORMATS else "json"
        try:
            match = self._match(request.method, address.path)
            operation = match.operation if isinstance(match, Match) else None
            if operation is None or operation.permission is not WORLD:
                user = self.authenticate(request)
            drawn = address.format == IMAGE_FORMAT and operation is not None and operation.is_image
            if address.format not in FORMATS and not drawn:
                return Answered(_no_formatter(address), user)
            if isinstance(match, ApiError):
                return Answered(failure(match, form), user)
            self._check_permission(request, match, user)
            return self._place(request, address, match, user)
        except Refusal as refusal:
            return Answered(refusal.answer(), user)
        except ApiError as error:
            return Answered(failure(error, form), user)
        except KeyFileError as err:
            return Answered(failure(ApiError(500, str(err)), form), user)
        except OSError as err:
            text = f"unable to read '{err.filename}': {err.strerror} - is the cluster file system running?"
            return Answered(failure(ApiError(500, text), form), user)

    def _match(self, method: str, path: str) -> Match | ApiError:
        try:
            return self.router.match(method, path)
        except ApiError as error:
            return error

    def authenticate(self, request: Request) -> str:
        """The user or token that a request shows valid credentials of. Raises `Refusal` 401."""
        shown = credentials(request.headers)
        if shown.ticket is None and shown.token is None:
            raise Refusal(401, "No ticket", body=False)
        try:
            if shown.ticket is not None:
                user = self.directory.user_of_ticket(shown.ticket)
            else:
                user = self.check_token(shown.token or "")
                self.directory.check_account(user)
        except AuthenticationError as err:
            _log.warning("authentication failure; rhost=%s msg=%s", request.client_ip, one_line(str(err)))
            raise Refusal(401, "Authentication failed!", body=False) from err
        if shown.ticket is not None and request.method != "GET" and not self.privileged:
            token = request.headers.get(CSRF_HEADER, "")
            if not self.directory.keys.check_csrf_token(token, user):
                raise Refusal(401, "Permission denied - invalid csrf token", body=False)
        return user

    def _check_permission(self, request: Request, match: Match, user: str) -> None:
        operation = match.operation
        rule = operation.permission
        if user and not operation.allow_token and split_token(user)[1] is not None:
            text = f"Permission check failed (URI '{operation.path}' not available with API token, "
            raise ApiError(403, text + "need proper ticket.)")
        if rule is WORLD or user == ROOT:
            return
        values: Mapping[str, object] = self._local_names(match.parameters)
        if not rule.parameters() <= values.keys():
            values = verified(self._all_parameters(request, match), operation.parameters)
        refusal = rule.refusal(Caller(self.directory, user), values)
        if refusal is not None:
            raise ApiError(403, f"Permission check failed ({refusal})")

    def _place(self, request: Request, address: Address, match: Match, user: str) -> Decision:
        operation = match.operation
        parameters = self._local_names(match.parameters)
        node = parameters.get("node", self.node)
        if operation.proxyto_node and node != self.node:
            if self.privileged or LOOP_HEADER in request.headers:
                raise ApiError(500, "proxy loop detected")
            return Forward(node, user)
        if operation.protected and not self.privileged:
            return PassToRoot(user)
        return Run(operation, self._all_parameters(request, match), user, address.format)

    def _all_parameters(self, request: Request, match: Match) -> dict[str, object]:
        body = decode_body(request.headers, request.body) if request.method in ("POST", "PUT") else {}
        query = decode_form(request.query)
        for given in (body, query):
            if "node" in match.parameters and given.get("node") == "localhost":
                given["node"] = self.node  # the same node by its two names is no conflict with the path
        return merge_parameters(match.operation, self._local_names(match.parameters), body, query)

    def _local_names(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """The path's values, with this node's name for ``localhost``."""
        return {
            key: self.node if key == "node" and value == "localhost" else value
            for key, value in parameters.items()
        }


def _no_formatter(address: Address) -> Answer:
    return Refusal(501, f"no formatter for uri {address.path}, {address.format}").answer()
