"""The books in the database itself (`reach.Books`), for whoever may write it: before the first log-in, or without a
server. A running server sees changes at once. They leave no audit row: nobody said who they are.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError

from wattspan.api.access.passwords import Passwords
from wattspan.api.models import records
from wattspan.api.models import users as user_models
from wattspan.api.models.common import moment
from wattspan.api.problems import Problem
from wattspan.api.routes.id_tags import parsed
from wattspan.cli.client import Json
from wattspan.csms.security.credentials import hash_secret, new_secret
from wattspan.errors import WattspanError
from wattspan.store.queries import id_tags as id_tag_queries
from wattspan.store.queries import users as user_queries
from wattspan.store.records import Registration, User
from wattspan.store.store import Store

T = TypeVar("T")

MOST = 2**31


class BooksError(WattspanError):
    """What was asked for can't be done; the text says why."""


class ByDatabase:
    """See `reach.Books`. `database`: a path or a database URL."""

    def __init__(self, database: str) -> None:
        self._database = database

    def _run(self, work: Callable[[Store], Awaitable[T]]) -> T:
        async def main() -> T:
            store = await Store.open(self._database)
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(main())

    def _do(self, work: Callable[..., T], *arguments: Any) -> T:
        return self._run(lambda store: store.do(work, *arguments))

    def charge_points(self) -> Iterable[Json]:
        return [_charge_point(each) for each in self._run(lambda store: store.charge_points())]

    def add_charge_point(
        self, cp_id: str, secret: str | None, *, make: bool, security_profile: int | None
    ) -> tuple[bool, str | None]:
        made = new_secret() if make else None
        chosen = made or secret
        hashed = None if chosen is None else hash_secret(chosen, machine_made=make)
        work = partial(Store.add_charge_point, cp_id=cp_id, secret=hashed, security_profile=security_profile)
        return self._run(work), made

    def remove_charge_point(self, cp_id: str) -> None:
        if not self._run(lambda store: store.remove_charge_point(cp_id)):
            raise BooksError(f"there is no charge point {cp_id}")

    def id_tags(self) -> Iterable[Json]:
        found = self._run(lambda store: store.id_tags())
        return [records.id_tag(each).model_dump(mode="json") for each in found]

    def put_id_tag(self, tag: Json) -> None:
        try:
            body = records.IdTagBody(**{name: value for name, value in tag.items() if name != "id_tag"})
        except ValidationError as exc:
            raise _invalid(exc) from None
        self._run(lambda store: store.add_id_tag(records.filed(tag["id_tag"], body)))

    def remove_id_tag(self, id_tag: str) -> None:
        if not self._run(lambda store: store.remove_id_tag(id_tag)):
            raise BooksError(f"there is no id tag {id_tag}")

    def import_id_tags(self, data: bytes) -> int:
        try:
            tags = parsed(data)
        except Problem as exc:
            raise BooksError("; ".join([exc.detail, *(": ".join(fault) for fault in exc.faults)])) from None
        self._do(id_tag_queries.put_id_tags, tags)
        return len(tags)

    def users(self) -> Iterable[Json]:
        found = self._do(user_queries.users, "", MOST)
        return [user_models.user(each).model_dump(mode="json") for each in found]

    def add_user(self, name: str, role: str, password: str) -> None:
        new = _valid_user(name, role, password)
        stored = self._hash(new.password.get_secret_value())
        user = User(name=new.name, role=new.role.value, password=stored, created_ts=time.time())
        if not self._do(user_queries.add_user, user):
            raise BooksError(f"the name {name} is taken")

    def remove_user(self, name: str) -> None:
        self._do(_remove_user, name)

    def set_password(self, name: str, password: str) -> None:
        _valid_user(name, "viewer", password)
        if self._do(user_queries.change_user, name, {"password": self._hash(password)}, _must_be_there) is None:
            raise BooksError(f"there is no user {name}")

    def _hash(self, password: str) -> str:
        passwords = Passwords()
        try:
            return asyncio.run(passwords.hash(password))
        finally:
            passwords.close()


def _remove_user(connection: Any, name: str) -> None:
    found = user_queries.user(connection, name)
    _must_be_there(found)
    if found is not None and found.role == "admin" and not user_queries.other_admins(connection, name):
        raise BooksError("the last admin stays")
    user_queries.remove_user(connection, name, _must_be_there)


def _must_be_there(user: User | None) -> None:
    if user is None:
        raise BooksError("there is no such user")


def _valid_user(name: str, role: str, password: str) -> user_models.NewUser:
    try:
        return user_models.NewUser.model_validate({"name": name, "role": role, "password": password})
    except ValidationError as exc:
        raise _invalid(exc) from None


def _invalid(fault: ValidationError) -> BooksError:
    return BooksError("; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in fault.errors()))


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
