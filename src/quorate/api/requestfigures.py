"""How many requests the front answered, how, and how fast: counted per operation, never per path as sent."""

from __future__ import annotations

from typing import Final

from quorate.api.exposition import Family, Histogram

OTHER: Final = "other"
"""Files, unknown paths, whatever is no operation: whoever sends paths must not make new time series."""


class RequestFigures:
    """Counts of one front process."""

    def __init__(self) -> None:
        self._answered: dict[tuple[str, str, int], int] = {}
        self._times: dict[tuple[str, str], Histogram] = {}
        self.refused_logins = 0

    def observe(self, method: str, template: str, status: int, seconds: float) -> None:
        """``template``: the operation's path as declared, or OTHER; then the method is not told apart."""
        method = method if template != OTHER else OTHER
        key = (method, template, status)
        self._answered[key] = self._answered.get(key, 0) + 1
        self._times.setdefault((method, template), Histogram()).observe(seconds)

    def families(self, streams: int, connections: int) -> list[Family]:
        requests = Family("quorate_api_requests_total", "counter", "Answered requests.")
        for (method, path, status), count in sorted(self._answered.items()):
            requests.add(count, method=method, path=path, status=status)
        times = Family("quorate_api_request_seconds", "histogram", "From the request's head to its answer.")
        for (method, path), histogram in sorted(self._times.items()):
            histogram.add_to(times, {"method": method, "path": path})
        return [
            requests,
            times,
            Family("quorate_api_refused_logins_total", "counter", "Logins that were refused.").add(
                self.refused_logins
            ),
            Family("quorate_api_event_streams", "gauge", "Open event streams.").add(streams),
            Family("quorate_api_connections", "gauge", "Open connections.").add(connections),
        ]
