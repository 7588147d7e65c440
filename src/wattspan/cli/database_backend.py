"""The registry in the database itself (see `backends.Registry`), for use before the first login or without a server.

A running server sees changes at once. They are not audited, because there is no login; only an erasure is.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from wattspan.api.files import Files
from wattspan.api.models import id_tags
from wattspan.api.models import users as user_models
from wattspan.api.models.common import datetime_of
from wattspan.api.problems import Problem
from wattspan.api.routes.id_tags import parsed
from wattspan.cli.api_client import Json
from wattspan.cli.faults import join_faults
from wattspan.csms.erasure import Erasure
from wattspan.csms.registry import Registry
from wattspan.csms.security.passwords import Passwords
from wattspan.errors import RegistryError, StoreUnusable
from wattspan.store.engine import name_of, parse
from wattspan.store.queries import audit as audit_queries
from wattspan.store.queries import id_tags as id_tag_queries
from wattspan.store.queries import users as user_queries
from wattspan.store.records import AuditEntry, Registration
from wattspan.store.store import Store

T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)

NO_LIMIT = 2**31


class DatabaseRegistry:
    """See `backends.Registry`. `database` is a path or a database URL. Only `add` and `put` methods create a file.

    `files` is the folder of uploaded files.
    """

    def __init__(self, database: str, files: Path) -> None:
        self._database = database
        self._files = files

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

    def _change(self, work: Callable[[Registry], Awaitable[T]], *, create: bool = False) -> T:
        async def change(store: Store) -> T:
            passwords = Passwords()
            try:
                return await work(Registry(store, passwords=passwords))
            finally:
                passwords.close()

        return self._run(change, create=create)

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
        return self._change(
            lambda registry: registry.register_or_replace(
                cp_id, secret=password, generate_secret=generate, security_profile=security_profile
            ),
            create=True,
        )

    def change_charge_point(self, cp_id: str, fields: Json) -> None:
        self._change(lambda registry: registry.change(cp_id, fields))

    def remove_charge_point(self, cp_id: str) -> None:
        self._change(lambda registry: registry.decommission(cp_id))

    def id_tags(self) -> Iterable[Json]:
        found = self._run(lambda store: store.id_tags())
        return [id_tags.id_tag(each).model_dump(mode="json") for each in found]

    def put_id_tag(self, tag: Json) -> None:
        try:
            body = id_tags.IdTagBody(**{name: value for name, value in tag.items() if name != "id_tag"})
        except ValidationError as exc:
            raise _invalid(exc) from None
        self._run(lambda store: store.add_id_tag(id_tags.filed(tag["id_tag"], body)), create=True)

    def remove_id_tag(self, id_tag: str) -> None:
        if not self._run(lambda store: store.remove_id_tag(id_tag)):
            raise RegistryError(f"there is no id tag {id_tag}")

    def erase_id_tag(self, id_tag: str) -> Json:
        body = _valid(id_tags.Erase, {"id_tag": id_tag})

        async def erase(store: Store) -> Json:
            try:
                await store.claim()
            except StoreUnusable as exc:
                raise RegistryError(
                    f"a server uses this database, and its memory has the id tag too: use its API ({exc})"
                ) from exc
            erasure = Erasure(store, Files(store, self._files, 0))
            erased = id_tags.erased(await erasure.erase(body.id_tag))
            entry = AuditEntry(
                at_ts=time.time(),
                who="",
                auth_method="database",
                action="erase_id_tag",
                target="/api/v1/id-tags/erase",
                status=200,
                trace_id="",
            )
            await store.do(audit_queries.add_entry, entry)
            return erased.model_dump(mode="json")

        return self._run(erase)

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
        given = new.password.get_secret_value()
        self._change(lambda registry: registry.add_user(new.name, new.role.value, given), create=True)

    def remove_user(self, name: str) -> None:
        self._change(lambda registry: registry.remove_user(name))

    def set_password(self, name: str, password: str) -> None:
        _valid_user(name, "viewer", password)
        self._change(lambda registry: registry.change_user(name, password=password))


def _valid_user(name: str, role: str, password: str) -> user_models.NewUser:
    return _valid(user_models.NewUser, {"name": name, "role": role, "password": password})


def _valid(model: type[B], fields: Json) -> B:
    try:
        return model.model_validate(fields)
    except ValidationError as exc:
        raise _invalid(exc) from None


def _invalid(error: ValidationError) -> RegistryError:
    return RegistryError(join_faults((".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()))


def _charge_point(each: Registration) -> Json:
    registered, last = datetime_of(each.registered_ts), datetime_of(each.last_msg_ts)
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
