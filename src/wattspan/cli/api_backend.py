"""The registry through a server's API (see `backends.Registry`). It needs a token, and every change is audited."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from wattspan.cli.api_client import ApiError, Client, Json, quote_segment


class ApiRegistry:
    """See `backends.Registry`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def charge_points(self) -> Iterable[Json]:
        return self._client.pages("/charge-points")

    def add_charge_point(
        self, cp_id: str, password: str | None, *, generate: bool, security_profile: int | None
    ) -> tuple[bool, str | None]:
        path = f"/charge-points/{quote_segment(cp_id)}/credentials"
        # A given password replaces a generated one, so that the charge point is never registered without any.
        body: Json = {"cp_id": cp_id, "credentials": generate or password is not None}
        profile = {} if security_profile is None else {"security_profile": security_profile}
        try:
            generated = self._client.request("POST", "/charge-points", json=body | profile)["secret"]
        except ApiError as exc:
            if exc.status != HTTPStatus.CONFLICT:
                raise
            if profile:
                self._replace("PATCH", f"/charge-points/{quote_segment(cp_id)}", profile)
            return False, self._change_password(path, password, generate=generate)
        if password is not None:
            self._change_password(path, password, generate=False)
        return True, generated if generate else None

    def _change_password(self, path: str, password: str | None, *, generate: bool) -> str | None:
        if password is None and not generate:
            self._client.request("DELETE", path)
            return None
        changed: str = self._client.request("PUT", path, json={"secret": password})["secret"]
        return changed if generate else None

    def change_charge_point(self, cp_id: str, fields: Json) -> None:
        self._replace("PATCH", f"/charge-points/{quote_segment(cp_id)}", fields)

    def remove_charge_point(self, cp_id: str) -> None:
        self._client.request("DELETE", f"/charge-points/{quote_segment(cp_id)}")

    def id_tags(self) -> Iterable[Json]:
        return self._client.pages("/id-tags")

    def put_id_tag(self, tag: Json) -> None:
        body = {name: value for name, value in tag.items() if name != "id_tag"}
        self._replace("PUT", f"/id-tags/{quote_segment(tag['id_tag'])}", body)

    def remove_id_tag(self, id_tag: str) -> None:
        self._client.request("DELETE", f"/id-tags/{quote_segment(id_tag)}")

    def erase_id_tag(self, id_tag: str) -> Json:
        erased: Json = self._client.request("POST", "/id-tags/erase", json={"id_tag": id_tag})
        return erased

    def import_id_tags(self, data: bytes) -> int:
        headers = {"Content-Type": "text/csv"}
        result = self._client.request("POST", "/id-tags/import", content=data, headers=headers)
        return int(result["added"] + result["replaced"])

    def users(self) -> Iterable[Json]:
        return self._client.pages("/users")

    def add_user(self, name: str, role: str, password: str) -> None:
        self._client.request("POST", "/users", json={"name": name, "role": role, "password": password})

    def remove_user(self, name: str) -> None:
        self._client.request("DELETE", f"/users/{quote_segment(name)}")

    def set_password(self, name: str, password: str) -> None:
        self._replace("PATCH", f"/users/{quote_segment(name)}", {"password": password})

    def _replace(self, method: str, path: str, body: Any) -> None:
        """Change the stored record. Raises ApiError 412 if it was changed in the meantime."""
        headers = {}
        try:
            headers["If-Match"] = self._client.send("GET", path).headers["ETag"]
        except ApiError as exc:
            if exc.status != HTTPStatus.NOT_FOUND or method != "PUT":
                raise
        self._client.request(method, path, json=body, headers=headers)
