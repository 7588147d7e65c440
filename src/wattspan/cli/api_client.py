"""A client of the HTTP API: requests in, JSON out, problem documents as one line of text.

It must not know of commands, options or tables.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx

from wattspan.api import PREFIX
from wattspan.cli.faults import field_name, join_faults
from wattspan.errors import WattspanError

Json = dict[str, Any]

PAGE_SIZE = 500
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 330.0
"""A charge point may take 300 s to answer a command."""
UNKNOWN_TOKEN = "who"  # noqa: S105  the problem's type for a request without a valid login
INVALID_PAYLOAD = "schema"
INVALID_REQUEST = "invalid"


class ApiError(WattspanError):
    """The API answered with an error, or did not answer.

    `status` is the HTTP status, or 0 without an answer; `kind` the last part of the problem's type, or "".
    """

    def __init__(self, text: str, status: int = 0, kind: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.kind = kind


class Client:
    """The API of one server, below /api/v1. Close it, or use it as a context manager. Every method raises ApiError."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        timeout = httpx.Timeout(CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S)
        try:
            self._http = httpx.Client(base_url=f"{self.url}{PREFIX}", headers=headers, timeout=timeout)
        except (httpx.InvalidURL, ValueError) as exc:
            raise ApiError(f"--url: {url} is not a URL like http://127.0.0.1:8080: {exc}") from exc

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def request(self, method: str, path: str, **arguments: Any) -> Any:
        """Return the JSON of the response, or None if it is empty. `arguments` go to httpx: `json`, `params`, …"""
        return _json(self.send(method, path, **arguments))

    def send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Return the response, which is a success."""
        try:
            response = self._http.request(method, path, **arguments)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            reason = str(exc) or type(exc).__name__
            raise ApiError(
                f"no answer from {self.url} ({reason}); check that the server is running and that --url is right"
            ) from exc
        if not response.is_success:
            raise _error_of(response)
        return response

    def download(self, path: str, params: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield the content of a file, piece by piece."""
        try:
            with self._http.stream("GET", path, params=params) as response:
                if not response.is_success:
                    response.read()
                    raise _error_of(response)
                yield from response.iter_bytes()
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise ApiError(f"the transfer from {self.url} broke off ({str(exc) or type(exc).__name__})") from exc

    def pages(self, path: str, limit: int | None = None, **params: Any) -> Iterator[Json]:
        """Yield the items of a list, fetched page by page; at most `limit`."""
        given = {name: value for name, value in params.items() if value is not None}
        position: dict[str, str] = {}
        left = limit
        while left is None or left > 0:
            page_size = PAGE_SIZE if left is None else min(left, PAGE_SIZE)
            page = self.request("GET", path, params=given | {"limit": page_size} | position)
            yield from page["items"]
            if page["next"] is None:
                return
            position = {"cursor": page["next"]}
            left = None if left is None else left - len(page["items"])


def quote_segment(text: str) -> str:
    """Return `text` quoted as one segment of a path."""
    return quote(text, safe="")


def _error_of(response: httpx.Response) -> ApiError:
    status = response.status_code
    try:
        problem = response.json()
        kind = str(problem["type"]).removeprefix("urn:wattspan:")
        text = _describe(problem, kind)
    except (ValueError, TypeError, KeyError, AttributeError):
        return ApiError(f"{_not_our_api(response)} (status {status})", status)
    return ApiError(text, status, "" if kind == "about:blank" else kind)


def _describe(problem: Json, kind: str) -> str:
    whole = "payload" if kind == INVALID_PAYLOAD else "request"
    faults = join_faults((field_name(fault["path"], whole), fault["message"]) for fault in problem["errors"])
    text = problem["detail"] or problem["title"]
    if kind == UNKNOWN_TOKEN:
        text = "the token is unknown or has expired; log in again with `wattspan login`"
    elif faults and kind in (INVALID_PAYLOAD, INVALID_REQUEST):
        text = faults  # they name the fields, which the detail does not
    elif faults:
        text = f"{text}: {faults}"
    if problem["code"]:
        text = f"{text}: {problem['code']}"
    return f"{text} (trace {problem['trace_id']})" if problem["trace_id"] else text


def _json(response: httpx.Response) -> Any:
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError as exc:
        raise ApiError(_not_our_api(response)) from exc


def _not_our_api(response: httpx.Response) -> str:
    return f"{response.url.host}:{response.url.port} does not answer like Wattspan's API; check --url"
