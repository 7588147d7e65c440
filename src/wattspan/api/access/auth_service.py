"""Logins and API tokens: checks passwords, begins logins, makes tokens. The store keeps digests of their secrets."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import blake2b, sha256

from pydantic import SecretStr

from wattspan.api.access.lockout import Lockout, SharedLockout
from wattspan.api.access.rights import RIGHTS, Principal, Role, narrowed
from wattspan.api.problems import Problem
from wattspan.csms.registry import Registry
from wattspan.csms.security.passwords import RETRY_AFTER_S, Passwords, generate_password
from wattspan.domain.counters import ServerCounters
from wattspan.errors import AlreadyRegistered
from wattspan.store.queries import users as user_queries
from wattspan.store.records import ApiToken, User
from wattspan.store.store import Store
from wattspan.telemetry import catalogue
from wattspan.telemetry.evidence import MAX_TEXT
from wattspan.telemetry.recorder import Recorder

log = logging.getLogger(__name__)

FIRST_ADMIN = "admin"
TOKEN_PREFIX = "wattspan_"  # noqa: S105 - lets secret scanners find a leaked token
SECRET_BYTES = 32
MAX_WAITING_FOR_NAME = 16
"""Logins of one name that may wait while another is checked, which takes some 20 ms."""


@dataclass(slots=True)
class _Turn:
    """The logins of one name, which are checked one after the other."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class AuthService:
    """Authenticates people and programs. `login_s`: how long a login lasts, in seconds."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        passwords: Passwords,
        counters: ServerCounters,
        recorder: Recorder,
        *,
        login_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._registry = registry
        self._passwords = passwords
        self._counters = counters
        self._recorder = recorder
        self._clock = clock
        self.login_s = login_s
        self._lockout = Lockout(time.monotonic, self._locked)
        self.shared_lockout: SharedLockout | None = None
        """Failures on all nodes of a cluster; None: there are no other nodes."""
        self._turns: dict[str, _Turn] = {}

    async def make_first_admin(self, password: SecretStr | None) -> str | None:
        """Add the user `admin` if there is no user at all. Returns the password if it was generated here, or None."""
        if password is None:
            generated, stored = generate_password()
        else:
            generated, stored = None, await self._passwords.hash(password.get_secret_value())
        admin = User(name=FIRST_ADMIN, role=Role.ADMIN.value, password=stored, created_ts=self._clock())
        added = await self._store.do(user_queries.add_first_user, admin)
        return generated if added else None

    async def log_in(self, name: str, password: str, source: str, previous: str | None) -> tuple[str, User]:
        """Check a password and begin a login; return its secret and the user.

        `previous` is the secret of the browser's login until now, which ends.

        Raises Problem: 401 for a wrong name or password, 429 during a lockout. Raises Overloaded.
        """
        began_s = time.perf_counter()
        fields = {catalogue.USER_NAME: name[:MAX_TEXT], catalogue.PEER_ADDRESS: source}
        evidence = self._recorder.evidence
        try:
            found = await self._log_in(name, password, source, previous)
        except Problem as problem:
            self._counters.logins_failed += 1
            evidence.record(
                catalogue.LOGIN_FAILED_SPAN,
                "login of %s from %s failed: %s",
                name[:MAX_TEXT],
                source or "an unknown address",
                problem.detail,
                fields=fields,
                level=logging.WARNING,
                error=problem.kind,
                limit=f"login failed {source}",
                logger=log,
                inside=True,
            )
            raise
        else:
            text = "%s logged in from %s"
            evidence.record(catalogue.LOGIN_SPAN, text, found[1].name, source, fields=fields, logger=log, inside=True)
            return found
        finally:
            self._recorder.took(catalogue.LOGIN_SECONDS, time.perf_counter() - began_s)

    async def _log_in(self, name: str, password: str, source: str, previous: str | None) -> tuple[str, User]:
        await self._raise_if_locked(name, source)
        # One check of a name at a time: guesses sent concurrently would be admitted before the first has failed.
        async with self._turn_of(name.casefold()):
            await self._raise_if_locked(name, source)  # by those that were checked meanwhile
            user = await self._store.read(user_queries.user, name)
            stored = None if user is None or user.disabled else user.password
            is_right = await self._passwords.verify(password, stored)
            if user is None or stored is None or not is_right:
                self._lockout.failed(name, source)
                if self.shared_lockout is not None:
                    await self.shared_lockout.failed(name, source)
                raise Problem(401, "wrong name or password", kind="credentials")
            self._lockout.succeeded(name)
            if self.shared_lockout is not None:
                self.shared_lockout.succeeded(name)
        secret, now_ts = secrets.token_urlsafe(SECRET_BYTES), self._clock()
        old = digest(previous) if previous else ""
        expires_ts = now_ts + self.login_s
        if not await self._store.do(user_queries.add_login, digest(secret), user, now_ts, expires_ts, old):
            raise Problem(401, "wrong name or password", kind="credentials")
        self._counters.logins += 1
        return secret, user

    async def _raise_if_locked(self, name: str, source: str) -> None:
        wait_s = self._lockout.wait_s(name, source)
        if self.shared_lockout is not None and wait_s <= 0.0:
            wait_s = await self.shared_lockout.wait_s(name, source)
        if wait_s > 0.0:
            headers = {"Retry-After": str(int(wait_s) + 1)}
            raise Problem(429, "too many failed logins; wait, then try again", kind="locked", headers=headers)

    @asynccontextmanager
    async def _turn_of(self, key: str) -> AsyncIterator[None]:
        """Wait until no other login of this name is checked. Raises Problem 429 if too many wait already."""
        turn = self._turns.setdefault(key, _Turn())
        if turn.users > MAX_WAITING_FOR_NAME:
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            raise Problem(429, "too many logins with this name at once", kind="busy", headers=headers)
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[key]

    async def register(self, name: str, password: str) -> User:
        """Add a viewer, and return it. Raises AlreadyRegistered when the name is taken, and Overloaded."""
        began_s = time.perf_counter()
        try:
            user = await self._registry.add_user(name, Role.VIEWER.value, password)
        except AlreadyRegistered:
            self._counters.registration_conflicts += 1
            raise
        finally:
            self._recorder.took(catalogue.REGISTRATION_SECONDS, time.perf_counter() - began_s)
        self._counters.registrations += 1
        return user

    async def by_login(self, secret: str) -> Principal | None:
        """Return who is logged in with that secret, or None."""
        user = await self._store.read(user_queries.login_user, digest(secret), self._clock())
        if user is None:
            return None
        role = Role(user.role)
        return Principal(
            name=user.name,
            role=role,
            auth_method="session",
            rights=RIGHTS[role],
            digest=digest(secret),
            csrf=csrf_of(secret),
        )

    async def by_token(self, secret: str) -> Principal | None:
        """Return whose API token that is, with the rights of its scopes, or None."""
        found = await self._store.read(user_queries.token_user, digest(secret), self._clock())
        if found is None:
            return None
        user, token = found
        role = Role(user.role)
        return Principal(
            name=user.name,
            role=role,
            auth_method=f"token {token.token_id}",
            rights=narrowed(role, token.scopes),
            digest=digest(secret),
        )

    async def make_token(
        self, user: str, label: str, scopes: tuple[str, ...], expires_ts: float | None, max_tokens: int
    ) -> tuple[str, ApiToken]:
        """Make a token; return its secret, which is stored as a digest only, and what is on file.

        Raises LimitReached when the user has `max_tokens` already.
        """
        secret = TOKEN_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        token = ApiToken(
            token_id=secrets.token_hex(8),
            user=user,
            label=label,
            scopes=scopes,
            created_ts=self._clock(),
            expires_ts=expires_ts,
        )
        await self._store.do(user_queries.add_token, digest(secret), token, max_tokens)
        self._changed("token", user, "a token was made for %s")
        return secret, token

    async def remove_token(self, user: str, token_id: str) -> bool:
        """Revoke a token; return False if the user has none with that id."""
        removed: bool = await self._store.do(user_queries.remove_token, user, token_id)
        if removed:
            self._changed("token", user, "a token of %s was revoked")
        return removed

    async def count_logins(self) -> None:
        """Update the gauge of open logins. Raises StoreError."""
        self._counters.user_sessions = await self._store.read(user_queries.open_logins, self._clock())

    def _locked(self, name: str, source: str, wait_s: float) -> None:
        """Count and record a lockout. `name` "": of a network, `source`, else of the name."""
        self._counters.lockouts += 1
        self._recorder.evidence.record(
            catalogue.LOCKOUT_SPAN,
            "logins of %s are locked for %.0f s after a failed one from %s",
            name[:MAX_TEXT] or f"the network {source}",
            wait_s,
            source or "an unknown address",
            fields={catalogue.USER_NAME: name[:MAX_TEXT], catalogue.PEER_ADDRESS: source},
            level=logging.WARNING,
            limit=f"lockout {source}",
            logger=log,
            inside=True,
        )

    def _changed(self, kind: str, user: str, text: str) -> None:
        self._recorder.evidence.record(
            catalogue.CREDENTIALS_SPAN,
            text,
            user,
            fields={catalogue.CREDENTIAL_KIND: kind, catalogue.USER_NAME: user},
            logger=log,
            inside=True,
        )


def digest(secret: str) -> str:
    """Return the digest the store keeps of a secret made here, which is random enough for a fast hash."""
    return sha256(secret.encode(errors="surrogatepass")).hexdigest()


def csrf_of(secret: str) -> str:
    """Return a login's CSRF token, which its writes send in `X-CSRF-Token`. It does not reveal the login's secret."""
    return blake2b(secret.encode(errors="surrogatepass"), digest_size=16, person=b"wattspan-csrf").hexdigest()
