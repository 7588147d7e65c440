"""Knows which modules the extras bring, and the line that says how to install them. It imports none of them."""

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
        "proxyprotocol",
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
CLUSTER_MODULES = frozenset({"redis"})
"""Those of the `cluster` extra."""


def missing_extra(name: str | None, needed_by: str) -> str | None:
    """Return what to install if the missing module `name` comes with the extra, or None if it does not."""
    module = "" if name is None else name.partition(".")[0]
    for extra, modules in (("server", SERVER_MODULES), ("server,cluster", CLUSTER_MODULES)):
        if module in modules:
            return f'{needed_by} needs {module}; install it with: pip install "wattspan[{extra}]"'
    return None
