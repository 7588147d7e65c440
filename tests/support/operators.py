"""People and programs that use the HTTP API of a central system under test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from support.central import PLAIN, Csms

PASSWORD = "correct horse battery"


class Operator:
    """Somebody with a session, whose writes bring the CSRF token along; or with a token, or nobody."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def log_in(self, name: str, password: str) -> dict[str, Any]:
        """Log in, and be that user from now on."""
        answer = await self.http.post("/api/v1/session", json={"name": name, "password": password})
        assert answer.status_code == 200, answer.text
        session: dict[str, Any] = answer.json()
        self.http.headers["X-CSRF-Token"] = session["csrf_token"]
        return session

    async def ask(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        """Request `path` below /api/v1; the JSON of an answer that must have this status."""
        answer = await self.send(method, path, **more)
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Request `path` below /api/v1; the answer whatever it is."""
        return await self.http.request(method, f"/api/v1{path}", **more)

    async def command(self, cp_id: str, action: str, payload: dict[str, Any], status: int = 200) -> Any:
        """Send a command."""
        return await self.ask("POST", f"/charge-points/{cp_id}/commands/{action}", status, json=payload)


@asynccontextmanager
async def nobody(csms: Csms) -> AsyncIterator[Operator]:
    """Somebody without a session."""
    base = f"http://127.0.0.1:{csms.central.api_port}"
    async with httpx.AsyncClient(base_url=base, **PLAIN) as http:
        yield Operator(http)


@asynccontextmanager
async def admin(csms: Csms) -> AsyncIterator[Operator]:
    """The first user, with the password that was made up at the start."""
    async with nobody(csms) as operator:
        assert csms.first_password is not None
        await operator.log_in("admin", csms.first_password)
        yield operator


@asynccontextmanager
async def somebody(csms: Csms, role: str, name: str | None = None) -> AsyncIterator[Operator]:
    """A user of that role, made by the admin."""
    async with admin(csms) as maker, nobody(csms) as operator:
        new = {"name": name or f"a {role}", "password": PASSWORD, "role": role}
        await maker.ask("POST", "/users", 201, json=new)
        await operator.log_in(new["name"], PASSWORD)
        yield operator
