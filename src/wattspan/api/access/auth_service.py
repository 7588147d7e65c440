"""Log-ins, sessions and tokens, kept in the store as digests. It must not know of HTTP but for its problems."""

import secrets
import time
from collections.abc import Callable
from hashlib import blake2b, sha256

from pydantic import SecretStr

from wattspan.api.access.lockout import Lockout
from wattspan.api.access.passwords import Passwords, generated
from wattspan.api.access.rights import RIGHTS, Principal, Role, narrowed
from wattspan.api.problems import Problem
from wattspan.domain.counters import ServerCounters
from wattspan.store.queries import users as user_queries
from wattspan.store.records import ApiToken, User
from wattspan.store.store import Store
from wattspan.telemetry import catalogue
from wattspan.telemetry.recorder import Recorder

FIRST_ADMIN = "admin"
TOKEN_PREFIX = "wattspan_"  # noqa: S105 - it lets secret scanners find a token that leaked
SECRET_BYTES = 32


class AuthService:
    """Lets people and programs in. `session_s`: how long a log-in lasts."""

    def __init__(
        self,
        store: Store,
        counters: ServerCounters,
        recorder: Recorder,
        *,
        session_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._vitals = counters
        self._recorder = recorder
        self._clock = clock
        self.session_s = session_s
        self.passwords = Passwords()
        self._lockout = Lockout(time.monotonic, self._locked_out)
        self._checking: set[str] = set()

    def close(self) -> None:
        """End its threads."""
        self.passwords.close()

    async def make_first_admin(self, password: SecretStr | None) -> str | None:
        """Make `admin` where there is no user at all. Returns the password to be shown once, if it was made up here."""
        if password is None:
            shown, stored = generated()
        else:
            shown, stored = None, await self.passwords.hash(password.get_secret_value())
        admin = User(name=FIRST_ADMIN, role=Role.ADMIN.value, password=stored, created_ts=self._clock())
        made = await self._store.do(user_queries.add_first_user, admin)
        return shown if made else None

    async def log_in(self, name: str, password: str, source: str, instead_of: str | None) -> tuple[str, User]:
        """Check a password and begin a session; its secret. `instead_of`: the browser's session until now, which ends.

        Raises Problem: 401 for a wrong name or password, 429 during a lockout.
        """
        began_s = time.perf_counter()
        try:
            return await self._log_in(name, password, source, instead_of)
        except Problem:
            self._vitals.logins_failed += 1
            raise
        finally:
            self._recorder.took(catalogue.LOGIN_SECONDS, time.perf_counter() - began_s)

    async def _log_in(self, name: str, password: str, source: str, instead_of: str | None) -> tuple[str, User]:
        wait_s = self._lockout.wait_s(name, source)
        key = name.casefold()
        if wait_s > 0.0 or key in self._checking:
            headers = {"Retry-After": str(int(wait_s) + 1)}
            raise Problem(429, "too many failed log-ins; wait, then try again", kind="locked", headers=headers)
        # One check of a name at a time: guesses sent all at once would come in before the first has failed.
        self._checking.add(key)
        try:
            user = await self._store.read(user_queries.user, name)
            stored = None if user is None or user.disabled else user.password
            right = await self.passwords.check(password, stored)
        finally:
            self._checking.discard(key)
        if user is None or stored is None or not right:
            self._lockout.failed(name, source)
            raise Problem(401, "wrong name or password", kind="credentials")
        self._lockout.succeeded(name, source)
        secret, now_ts = secrets.token_urlsafe(SECRET_BYTES), self._clock()
        old = digest(instead_of) if instead_of else ""
        await self._store.do(user_queries.add_login, digest(secret), user.name, now_ts, now_ts + self.session_s, old)
        self._vitals.logins += 1
        return secret, user

    async def register(self, name: str, password: str) -> User:
        """Make a viewer. Raises Problem 409 when the name is taken."""
        began_s = time.perf_counter()
        try:
            stored = await self.passwords.hash(password)
            user = User(name=name, role=Role.VIEWER.value, password=stored, created_ts=self._clock())
            if not await self._store.do(user_queries.add_user, user):
                self._vitals.registration_conflicts += 1
                raise Problem(409, "the name is taken", kind="name-taken")
        finally:
            self._recorder.took(catalogue.REGISTRATION_SECONDS, time.perf_counter() - began_s)
        self._vitals.registrations += 1
        return user

    async def by_session(self, secret: str) -> Principal | None:
        """Whoever has a session of that secret."""
        user = await self._store.read(user_queries.login_user, digest(secret), self._clock())
        if user is None:
            return None
        role = Role(user.role)
        return Principal(
            name=user.name,
            role=role,
            means="session",
            rights=RIGHTS[role],
            digest=digest(secret),
            csrf=csrf_of(secret),
        )

    async def by_token(self, secret: str) -> Principal | None:
        """Whoever has a token of that secret."""
        found = await self._store.read(user_queries.token_user, digest(secret), self._clock())
        if found is None:
            return None
        user, token = found
        role = Role(user.role)
        means, rights = f"token {token.token_id}", narrowed(role, token.scopes)
        return Principal(name=user.name, role=role, means=means, rights=rights, digest=digest(secret))

    async def make_token(
        self, user: str, label: str, scopes: tuple[str, ...], expires_ts: float | None
    ) -> tuple[str, ApiToken]:
        """A new token and its secret, which is told this once."""
        secret = TOKEN_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        token = ApiToken(
            token_id=secrets.token_hex(8),
            user=user,
            label=label,
            scopes=scopes,
            created_ts=self._clock(),
            expires_ts=expires_ts,
        )
        await self._store.do(user_queries.add_token, digest(secret), token)
        return secret, token

    async def count_sessions(self) -> None:
        """Have the metric say how many sessions are open."""
        self._vitals.user_sessions = await self._store.read(user_queries.open_logins, self._clock())

    def _locked_out(self) -> None:
        self._vitals.lockouts += 1


def digest(secret: str) -> str:
    """What is kept of a secret that was made here: it is random enough for a fast hash."""
    return sha256(secret.encode(errors="surrogatepass")).hexdigest()


def csrf_of(secret: str) -> str:
    """What a session's writes bring along in `X-CSRF-Token`; the session's secret can't be had from it."""
    return blake2b(secret.encode(errors="surrogatepass"), digest_size=16, person=b"wattspan-csrf").hexdigest()
