"""The registry in the database itself (see `backends.Registry`), for use before the first login or without a server.

A running server sees changes at once. They are not audited, because there is no login.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from wattspan.api.access.passwords import Passwords
from wattspan.api.models import records
from wattspan.api.models import users as user_models
from wattspan.api.models.common import moment
from wattspan.api.problems import Problem
from wattspan.api.routes.id_tags import parsed
from wattspan.cli.api_client import Json
from wattspan.cli.faults import join_faults
from wattspan.csms.security.credentials import hash_secret, new_secret
from wattspan.errors import WattspanError
from wattspan.store.engine import name_of, parse
from wattspan.store.queries import id_tags as id_tag_queries
from wattspan.store.queries import users as user_queries
from wattspan.store.records import Registration, User
from wattspan.store.store import Store

T = TypeVar("T")

NO_LIMIT = 2**31


class RegistryError(WattspanError):
    """The request cannot be carried out; the text gives the reason."""


class DatabaseRegistry:
    """See `backends.Registry`. `database` is a path or a database URL. Only `add` and `put` methods create a file."""

    def __init__(self, database: str) -> None:
        self._database = database

    def _run(self, work: Callable[[Store], Awaitable[T]], *, create: bool = False) -> T:
        if not create:
            self._require_database()

        async def main() -> T:
            store = await Store.open(self._database)
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(main())

    def _write(self, work: Callable[..., T], *arguments: Any, create: bool = False) -> T:
        return self._run(lambda store: store.do(work, *arguments), create=create)

    def _require_database(self) -> None:
        url = parse(self._database)
        if url.get_backend_name() == "sqlite" and not Path(name_of(url)).exists():
            raise RegistryError(
                f"database: {name_of(url)} does not exist; name one with --database, or log in to a server with "
                "`wattspan login`"
            )

    def charge_points(self) -> Iterable[Json]:
        return [_charge_point(each) for each in self._run(lambda store: store.charge_points())]

    def add_charge_point(
        self, cp_id: str, password: str | None, *, generate: bool, security_profile: int | None
    ) -> tuple[bool, str | None]:
        generated = new_secret() if generate else None
        secret = generated or password
        hashed = None if secret is None else hash_secret(secret, machine_made=generate)
        work = partial(Store.add_charge_point, cp_id=cp_id, secret=hashed, security_profile=security_profile)
        return self._run(work, create=True), generated

    def remove_charge_point(self, cp_id: str) -> None:
        if not self._run(lambda store: store.remove_charge_point(cp_id)):
            raise RegistryError(f"there is no charge point {cp_id}")

    def id_tags(self) -> Iterable[Json]:
        found = self._run(lambda store: store.id_tags())
        return [records.id_tag(each).model_dump(mode="json") for each in found]

    def put_id_tag(self, tag: Json) -> None:
        try:
            body = records.IdTagBody(**{name: value for name, value in tag.items() if name != "id_tag"})
        except ValidationError as exc:
            raise _invalid(exc) from None
        self._run(lambda store: store.add_id_tag(records.filed(tag["id_tag"], body)), create=True)

    def remove_id_tag(self, id_tag: str) -> None:
        if not self._run(lambda store: store.remove_id_tag(id_tag)):
            raise RegistryError(f"there is no id tag {id_tag}")

    def import_id_tags(self, data: bytes) -> int:
        try:
            tags = parsed(data)
        except Problem as exc:
            raise RegistryError(f"{exc.detail}: {join_faults(exc.faults)}") from None
        self._write(id_tag_queries.put_id_tags, tags, create=True)
        return len(tags)

    def users(self) -> Iterable[Json]:
        found = self._write(user_queries.users, "", NO_LIMIT)
        return [user_models.user(each).model_dump(mode="json") for each in found]

    def add_user(self, name: str, role: str, password: str) -> None:
        new = _valid_user(name, role, password)
        stored = self._hash(new.password.get_secret_value())
        user = User(name=new.name, role=new.role.value, password=stored, created_ts=time.time())
        if not self._write(user_queries.add_user, user, create=True):
            raise RegistryError(f"the name {name} is taken")

    def remove_user(self, name: str) -> None:
        self._write(_remove_user, name)

    def set_password(self, name: str, password: str) -> None:
        _valid_user(name, "viewer", password)
        self._require_database()
        self._write(user_queries.change_user, name, {"password": self._hash(password)}, _require_user)

    def _hash(self, password: str) -> str:
        passwords = Passwords()
        try:
            return asyncio.run(passwords.hash(password))
        finally:
            passwords.close()


def _remove_user(connection: Any, name: str) -> None:
    found = user_queries.user(connection, name)
    _require_user(found)
    if found is not None and found.role == "admin" and not user_queries.other_admins(connection, name):
        raise RegistryError("the last admin stays")
    user_queries.remove_user(connection, name, _require_user)


def _require_user(user: User | None) -> None:
    if user is None:
        raise RegistryError("there is no such user")


def _valid_user(name: str, role: str, password: str) -> user_models.NewUser:
    try:
        return user_models.NewUser.model_validate({"name": name, "role": role, "password": password})
    except ValidationError as exc:
        raise _invalid(exc) from None


def _invalid(error: ValidationError) -> RegistryError:
    return RegistryError(join_faults((".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()))


def _charge_point(each: Registration) -> Json:
    registered, last = moment(each.registered_ts), moment(each.last_msg_ts)
    return {
        "cp_id": each.cp_id,
        "registered_at": None if registered is None else registered.isoformat(),
        "has_credentials": each.secret is not None,
        "security_profile": each.security_profile,
        "vendor": each.vendor,
        "model": each.model,
        "protocol": each.protocol,
        "last_message_at": None if last is None else last.isoformat(),
    }
