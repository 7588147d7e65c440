"""Knows which modules the `server` extra brings, and the line that says how to install it. It imports none of them."""

SERVER_MODULES = frozenset(
    {
        "alembic",
        "argon2",
        "click",
        "cryptography",
        "defusedxml",
        "fastapi",
        "httptools",
        "httpx",
        "psycopg",
        "pydantic",
        "rich",
        "sqlalchemy",
        "starlette",
        "uvicorn",
        "uvloop",
        "websockets",
    }
)
"""By import name; a test compares them with pyproject.toml."""


def missing_extra(name: str | None, needed_by: str) -> str | None:
    """Return what to install if the missing module `name` comes with the extra, or None if it does not."""
    if name is None or name.partition(".")[0] not in SERVER_MODULES:
        return None
    return f'{needed_by} needs {name.partition(".")[0]}; install it with: pip install "wattspan[server]"'
