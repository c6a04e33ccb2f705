"""Runs in a node by its own python3, with nothing of the project: a client of another node's API, timed.

Prints {} when it is ready. Then one request per line on standard input ({"operation": ..., ...}: see `Api`),
one answer per line, or {"error": text}. The tests use `KeptConnection` as well.
"""

from __future__ import annotations

import http.client
import json
import ssl
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from urllib.parse import quote, urlencode

PORT = 8006
RESOURCES = "/cluster/resources"
TIMEOUT = 30.0
"""Seconds for one answer: far more than any takes, or the bench would hang with the server."""
KNOWN_SECONDS = 90.0
"""Until all guests have figures: some rounds of the status daemons."""
POLL_SECONDS = 0.2
clock = time.perf_counter
Answer = dict[str, float]


class ApiError(Exception):
    """The server refused; the text says what it said."""


class KeptConnection:
    """One kept connection that connects again when the server ends it, as browsers do."""

    def __init__(
        self, address: str, port: int, headers: Mapping[str, str] | None = None, *, compressed: bool = False
    ) -> None:
        self._place = (address, port)
        self._headers = dict(headers or {})
        if compressed:
            self._headers["Accept-Encoding"] = "gzip"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False  # the certificates are the cluster's own
        self._context.verify_mode = ssl.CERT_NONE
        self._connection: http.client.HTTPSConnection | None = None

    def get(self, path: str) -> tuple[float, bytes]:
        """Seconds and body of one GET below /api2/json. Raises ApiError, OSError."""
        return self._call("GET", path, None)

    def post(self, path: str, form: Mapping[str, str]) -> bytes:
        """The body of the answer. Raises ApiError, OSError."""
        return self._call("POST", path, urlencode(form))[1]

    def _call(self, method: str, path: str, body: str | None) -> tuple[float, bytes]:
        """Connecting is not in the seconds: it happens once."""
        if self._connection is None:
            address, port = self._place
            connection = http.client.HTTPSConnection(address, port, timeout=TIMEOUT, context=self._context)
            connection.connect()
            self._connection = connection
        headers = self._headers
        if body is not None:
            headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        begin = clock()
        try:
            self._connection.request(method, f"/api2/json{path}", body, headers)
            response = self._connection.getresponse()
            text = response.read()
        except http.client.HTTPException as error:
            self.close()
            raise ApiError(f"{method} {path}: the connection broke: {error!r}") from error
        seconds = clock() - begin
        if response.will_close:
            self.close()
        if response.status != 200:
            raise ApiError(f"{method} {path} was answered with {response.status} {response.reason}")
        return seconds, text

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class Api:
    """One server and a session on it. The public methods are the operations, with what they are given."""

    def __init__(self) -> None:
        self._address = ""
        self._headers: dict[str, str] = {}

    def login(self, *, address: str, user: str, password: str) -> Answer:
        self._address = address
        with closing(KeptConnection(address, PORT)) as connection:
            text = connection.post("/access/ticket", {"username": user, "password": password})
        ticket = json.loads(text)["data"]["ticket"]
        self._headers = {"Cookie": f"PVEAuthCookie={quote(ticket)}"}
        return {}

    def wait(self, *, guests: int) -> Answer:
        """Until exactly so many guests are known, each with its figures; how long that took."""
        begin = clock()
        with closing(self._connect()) as connection:
            while True:
                entries = json.loads(connection.get(f"{RESOURCES}?type=vm")[1])["data"]
                known = sum("uptime" in entry and entry["uptime"] > 0 for entry in entries)
                if known == guests == len(entries):
                    return {"seconds": clock() - begin}
                if clock() - begin > KNOWN_SECONDS:
                    raise ApiError(
                        f"{RESOURCES} told of {len(entries)} guests, {known} with figures, "
                        f"instead of {guests} after {KNOWN_SECONDS:.0f} s"
                    )
                time.sleep(POLL_SECONDS)

    def latency(self, *, seconds: float, compressed: bool) -> Answer:
        """One request after the other on one kept connection, for so long. Times in seconds."""
        times = []
        with closing(self._connect(compressed=compressed)) as connection:
            connection.get(RESOURCES)
            end = clock() + seconds
            while clock() < end:
                took, body = connection.get(RESOURCES)
                times.append(took)
        return {"median": statistics.median(times), "slowest": max(times), "bytes": len(body)}

    def rate(self, *, seconds: float, connections: int, compressed: bool) -> Answer:
        """How many a second several kept connections together get."""
        counts = [0] * connections
        errors: list[Exception] = []
        end = clock() + seconds

        def work(number: int) -> None:
            try:
                with closing(self._connect(compressed=compressed)) as connection:
                    while clock() < end:
                        connection.get(RESOURCES)
                        counts[number] += 1
            except (ApiError, OSError) as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
        begin = clock()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return {"rate": sum(counts) / (clock() - begin)}

    def _connect(self, *, compressed: bool = False) -> KeptConnection:
        return KeptConnection(self._address, PORT, self._headers, compressed=compressed)


def main() -> None:
    api = Api()
    print("{}", flush=True)  # ready
    for line in sys.stdin:
        request = json.loads(line)
        name = request.pop("operation")
        operation: Callable[..., Answer] = getattr(api, name)
        try:
            answer: object = operation(**request)
        except (ApiError, OSError) as error:
            answer = {"error": f"{name}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
