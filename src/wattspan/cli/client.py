"""The HTTP API as the command line uses it: requests in, JSON out, problem documents told in words.

It must not know of commands, options or tables.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx

from wattspan.api import PREFIX
from wattspan.errors import WattspanError

Json = dict[str, Any]

PAGE = 500
CONNECT_S = 10.0
ANSWER_S = 330.0
"""A charge point may take 300 s to answer a command."""
HINT = "the token is unknown or has expired: wattspan login"


class ApiError(WattspanError):
    """The API said no, or nothing. `status` 0: nothing; `kind` is the problem's own word, "" where it has none."""

    def __init__(self, text: str, status: int = 0, kind: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.kind = kind


class Client:
    """One server's API, below /api/v1. Close it, or use it as a context manager. Every method raises ApiError."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            self._http = httpx.Client(
                base_url=f"{self.url}{PREFIX}", headers=headers, timeout=httpx.Timeout(CONNECT_S, read=ANSWER_S)
            )
        except (httpx.InvalidURL, ValueError) as exc:
            raise ApiError(f"{url} is no address like http://127.0.0.1:8080: {exc}") from exc

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """The JSON of the answer; None for an empty one. `more` goes to httpx: `json`, `params`, `headers`, …"""
        return _body(self.send(method, path, **more))

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The answer, which is no error."""
        try:
            answer = self._http.request(method, path, **more)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            told = str(exc) or type(exc).__name__
            raise ApiError(f"{self.url} can't be asked ({told}); does the server run, is this its --url?") from exc
        if not answer.is_success:
            raise _refused(answer)
        return answer

    def each(self, path: str, limit: int | None = None, **params: Any) -> Iterator[Json]:
        """The items of a list, page by page; at most `limit`."""
        given = {name: value for name, value in params.items() if value is not None}
        cursor, left = None, limit
        while left is None or left > 0:
            here = given | {"limit": PAGE if left is None else min(left, PAGE)} | ({"cursor": cursor} if cursor else {})
            page = self.ask("GET", path, params=here)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return
            left = None if left is None else left - len(page["items"])


def segment(text: str) -> str:
    """`text` as one part of a path."""
    return quote(text, safe="")


def _refused(answer: httpx.Response) -> ApiError:
    status = answer.status_code
    try:
        problem = answer.json()
        text, kind = _told(problem), str(problem["type"]).removeprefix("urn:wattspan:")
    except (ValueError, TypeError, KeyError, AttributeError):
        return ApiError(
            f"{answer.url.host} answered {status}, and not as Wattspan's API does; is the --url right?", status
        )
    return ApiError(f"{text}; {HINT}" if kind == "who" else text, status, "" if kind == "about:blank" else kind)


def _told(problem: Json) -> str:
    text = problem["detail"] or problem["title"]
    if problem["code"]:
        text = f"{text}: {problem['code']}"
    faults = "; ".join(f"{fault['path'] or 'the payload'}: {fault['message']}" for fault in problem["errors"])
    text = f"{text}: {faults}" if faults else text
    return f"{text} (trace {problem['trace_id']})" if problem["trace_id"] else text


def _body(answer: httpx.Response) -> Any:
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError as exc:
        raise ApiError(f"{answer.url.host} answers, but not as Wattspan's API does; is the --url right?") from exc
