"""People and programs that use the HTTP API of a central system under test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from support.central import PLAIN, Csms

PASSWORD = "correct horse battery"


class Operator:
    """A client with a login, whose writes send the CSRF token; or with an API token; or neither."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def log_in(self, name: str, password: str) -> dict[str, Any]:
        """Log in as that user; return the answer."""
        answer = await self.http.post("/api/v1/session", json={"name": name, "password": password})
        assert answer.status_code == 200, answer.text
        login: dict[str, Any] = answer.json()
        self.http.headers["X-CSRF-Token"] = login["csrf_token"]
        return login

    async def ask(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        """Request `path` below /api/v1, require the status, and return the JSON of the answer."""
        answer = await self.send(method, path, **more)
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Request `path` below /api/v1, and return the answer whatever its status."""
        return await self.http.request(method, f"/api/v1{path}", **more)

    async def command(self, cp_id: str, action: str, payload: dict[str, Any], status: int = 200) -> Any:
        """Send a command, and return the JSON of the answer."""
        return await self.ask("POST", f"/charge-points/{cp_id}/commands/{action}", status, json=payload)


@asynccontextmanager
async def anonymous(csms: Csms) -> AsyncIterator[Operator]:
    """A client that is not logged in."""
    base = f"http://127.0.0.1:{csms.central.api_port}"
    async with httpx.AsyncClient(base_url=base, **PLAIN) as http:
        yield Operator(http)


@asynccontextmanager
async def admin(csms: Csms) -> AsyncIterator[Operator]:
    """The first user, with the password that was generated at the start."""
    async with anonymous(csms) as operator:
        assert csms.first_password is not None
        await operator.log_in("admin", csms.first_password)
        yield operator


@asynccontextmanager
async def user_of_role(csms: Csms, role: str, name: str | None = None) -> AsyncIterator[Operator]:
    """A user of that role, added by the admin."""
    async with admin(csms) as maker, anonymous(csms) as operator:
        new = {"name": name or f"a {role}", "password": PASSWORD, "role": role}
        await maker.ask("POST", "/users", 201, json=new)
        await operator.log_in(new["name"], PASSWORD)
        yield operator
