"""The books by a server's API (`reach.Books`): whoever asks needs a token, and every change leaves an audit row."""

from collections.abc import Iterable
from typing import Any

from wattspan.cli.client import ApiError, Client, Json, segment

NOT_FOUND, CONFLICT = 404, 409


class ByApi:
    """See `reach.Books`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def charge_points(self) -> Iterable[Json]:
        return self._client.each("/charge-points")

    def add_charge_point(
        self, cp_id: str, secret: str | None, *, make: bool, security_profile: int | None
    ) -> tuple[bool, str | None]:
        path = f"/charge-points/{segment(cp_id)}/credentials"
        # Never without credentials in between: where one is given, another is made first.
        wanted: Json = {"cp_id": cp_id, "credentials": make or secret is not None}
        required = {} if security_profile is None else {"security_profile": security_profile}
        try:
            made = self._client.ask("POST", "/charge-points", json=wanted | required)["secret"]
        except ApiError as exc:
            if exc.status != CONFLICT:
                raise
            if required:
                self._replace("PATCH", f"/charge-points/{segment(cp_id)}", required)
            return False, self._change_secret(path, secret, make=make)
        if secret is not None:
            self._change_secret(path, secret, make=False)
        return True, made if make else None

    def _change_secret(self, path: str, secret: str | None, *, make: bool) -> str | None:
        if secret is None and not make:
            self._client.ask("DELETE", path)
            return None
        changed: str = self._client.ask("PUT", path, json={"secret": secret})["secret"]
        return changed if make else None

    def remove_charge_point(self, cp_id: str) -> None:
        self._client.ask("DELETE", f"/charge-points/{segment(cp_id)}")

    def id_tags(self) -> Iterable[Json]:
        return self._client.each("/id-tags")

    def put_id_tag(self, tag: Json) -> None:
        body = {name: value for name, value in tag.items() if name != "id_tag"}
        self._replace("PUT", f"/id-tags/{segment(tag['id_tag'])}", body)

    def remove_id_tag(self, id_tag: str) -> None:
        self._client.ask("DELETE", f"/id-tags/{segment(id_tag)}")

    def import_id_tags(self, data: bytes) -> int:
        headers = {"Content-Type": "text/csv"}
        done = self._client.ask("POST", "/id-tags/import", content=data, headers=headers)
        return int(done["added"] + done["replaced"])

    def users(self) -> Iterable[Json]:
        return self._client.each("/users")

    def add_user(self, name: str, role: str, password: str) -> None:
        self._client.ask("POST", "/users", json={"name": name, "role": role, "password": password})

    def remove_user(self, name: str) -> None:
        self._client.ask("DELETE", f"/users/{segment(name)}")

    def set_password(self, name: str, password: str) -> None:
        self._replace("PATCH", f"/users/{segment(name)}", {"password": password})

    def _replace(self, method: str, path: str, body: Any) -> None:
        """Change what is there now; another's change in between is told (412)."""
        headers = {}
        try:
            headers["If-Match"] = self._client.send("GET", path).headers["ETag"]
        except ApiError as exc:
            if exc.status != NOT_FOUND or method != "PUT":
                raise
        self._client.ask(method, path, json=body, headers=headers)
