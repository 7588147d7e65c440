"""Login, logout, registration, and a user's own password and tokens."""

from fastapi import APIRouter, Request, Response

from wattspan.api import PREFIX
from wattspan.api.access.auth_service import csrf_of
from wattspan.api.access.guard import COOKIE, Who, from_elsewhere, guarded, public
from wattspan.api.access.rights import RIGHTS, Principal, Right, Role
from wattspan.api.models import users as models
from wattspan.api.problems import Problem, not_found
from wattspan.api.services import Given
from wattspan.store.queries import users as user_queries

router = APIRouter(prefix=PREFIX, tags=["access"])

DAY_S = 86_400.0


@router.post("/session", **public(401, 403, 429))
async def log_in(services: Given, given: models.LoginRequest, request: Request, response: Response) -> models.Session:
    """Log in: the login's secret is in a cookie that scripts can't read. A former login of the browser ends."""
    if from_elsewhere(request):
        raise Problem(403, "logins from other sites are refused", kind="csrf")
    source = request.client.host if request.client is not None else ""
    previous = request.cookies.get(COOKIE)
    request.state.tried = given.name  # so that the audit log names who failed
    secret, user = await services.auth.log_in(given.name, given.password.get_secret_value(), source, previous)
    role = Role(user.role)
    _set_cookie(response, request, secret, int(services.auth.login_s))
    request.state.principal = Principal(
        name=user.name, role=role, auth_method="password", rights=RIGHTS[role], digest=""
    )
    return models.Session(name=user.name, role=role, rights=services.shown(RIGHTS[role]), csrf_token=csrf_of(secret))


@router.get("/session", **guarded(Right.READ))
async def read_session(services: Given, who: Who) -> models.Session:
    """Return who is logged in."""
    return models.Session(name=who.name, role=who.role, rights=services.shown(who.rights), csrf_token=who.csrf)


@router.delete("/session", status_code=204, **guarded(Right.READ))
async def log_out(services: Given, who: Who, request: Request, response: Response) -> None:
    """End the login. A token stays valid: it is revoked by its id."""
    await services.store.do(user_queries.end_login, who.digest)
    _set_cookie(response, request, "", 0)


@router.post("/registrations", status_code=201, **public(403, 409))
async def register(services: Given, new: models.Registration, request: Request) -> models.User:
    """Register as a viewer, if the server allows it (setting `registration`)."""
    if not services.settings.registration or from_elsewhere(request):
        raise Problem(403, "registration is off", kind="registration-off")
    return models.user(await services.auth.register(new.name, new.password.get_secret_value()))


@router.put("/session/password", status_code=204, **guarded(Right.READ, 401, 429))
async def change_password(services: Given, who: Who, change: models.PasswordChange, request: Request) -> None:
    """Change one's own password; all one's logins end. Tokens may not do it, so that a leaked one can't."""
    if not who.csrf:
        raise Problem(403, "this needs a login, not a token", kind="session")
    source = request.client.host if request.client is not None else ""
    await services.auth.log_in(who.name, change.old.get_secret_value(), source, None)
    await services.registry.change_user(who.name, password=change.new.get_secret_value())


@router.get("/tokens", **guarded(Right.READ))
async def list_tokens(services: Given, who: Who) -> list[models.Token]:
    """List one's own tokens, without their secrets."""
    return [models.token(each) for each in await services.store.read(user_queries.tokens, who.name)]


@router.post("/tokens", status_code=201, **guarded(Right.READ, 409))
async def create_token(services: Given, who: Who, new: models.NewToken) -> models.TokenMade:
    """Make a token for a program; no other answer contains its secret. Its scopes limit its user's rights."""
    if not new.scopes <= who.rights:
        raise Problem(403, "a token can't have rights that its user does not have", kind="right")
    if not who.csrf:
        raise Problem(403, "this needs a login, not a token", kind="session")
    expires_ts = None if new.expires_in_days is None else services.now_ts() + new.expires_in_days * DAY_S
    scopes = tuple(sorted(each.value for each in new.scopes))
    max_tokens = services.settings.max_tokens_per_user
    secret, token = await services.auth.make_token(who.name, new.label, scopes, expires_ts, max_tokens)
    return models.token_made(token, secret)


@router.delete("/tokens/{token_id}", status_code=204, **guarded(Right.READ, 404))
async def revoke_token(services: Given, who: Who, token_id: str) -> None:
    """Revoke one's own token."""
    if not await services.auth.remove_token(who.name, token_id):
        raise not_found("token")


def _set_cookie(response: Response, request: Request, secret: str, lasts_s: int) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, secret, max_age=lasts_s, path="/", secure=secure, httponly=True, samesite="strict")
