"""docs/http-api.md, made from the OpenAPI document: `python -m wattspan.api.reference [FILE]`."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from fastapi import FastAPI
from opentelemetry.metrics import NoOpMeter

from wattspan.api.access.guard import RIGHT
from wattspan.api.app import make_app
from wattspan.api.services import Services

PAGE = Path("docs/http-api.md")

INTRODUCTION = """\
# HTTP API

Generated from the OpenAPI document by `make reference`; a test keeps the two equal. A running server serves the
document at `/openapi.json` and `/api/v1/openapi.json`, and the same as a page at `/docs`.

"""

USE = """
```
api=http://127.0.0.1:8080/api/v1
curl -H "Authorization: Bearer $TOKEN" "$api/charge-points?connected=true"
curl -H "Authorization: Bearer $TOKEN" --json '{"id_tag": "04E1C9", "connector_id": 1}' $api/charge-points/CP1/start
curl -N -H "Authorization: Bearer $TOKEN" $api/events
```

`wattspan login --print` prints a token. The *right* of a route is what the token's scopes, or the user's role, must
have: a viewer has `read`, an operator also `command` and `write`, an admin also `admin`. `public` routes need no
log-in. Every route may also answer 400, 401, 403, 413, 422 and 503 with a problem document.

A command to a charge point returns the charger's answer, its duration and the `trace_id` of the trace that holds
request, command and answer. It is answered

- 409 if the charge point is not connected,
- 422 if the payload breaks the OCPP schema; the problem names the place,
- 502 if the charger answered with a CALLERROR,
- 504 if it did not answer in time.

"""

_USUAL = {"400", "401", "403", "413", "422", "503"}


def document() -> dict[str, Any]:
    """Return the OpenAPI document, without running a server."""
    services = SimpleNamespace(meter=NoOpMeter(""))  # only a request needs the others
    app: Any = make_app(cast("Services", services), "")
    while not isinstance(app, FastAPI):  # our own layers are around it
        app = app._app
    return app.openapi()


def text() -> str:
    """Return the whole page."""
    found = document()
    tags: dict[str, list[tuple[str, ...]]] = {}
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            tags.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    lines = [INTRODUCTION + found["info"]["description"], USE.rstrip("\n")]
    for tag, rows in tags.items():
        lines += ["", f"## {tag[0].upper()}{tag[1:]}", ""]
        lines += _table(("request", "right", "meaning", "parameters", "body", "answer"), rows)
    lines += ["", "## Schemas", "", "A `?` after the name of a field: it may be left out."]
    for name, schema in sorted(found["components"]["schemas"].items()):
        lines += ["", f"### Schema {name}", "", *_schema(schema)]
    return "\n".join(lines) + "\n"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> tuple[str, ...]:
    names = [f"`{each['name']}`" for each in operation.get("parameters", ()) if each["in"] == "query"]
    bodies = [
        _type(content.get("schema", {})) if kind == "application/json" else f"`{kind}`"
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
    ]
    return (
        f"`{method.upper()} {path}`",
        operation.get(RIGHT, ""),
        _line(operation.get("description", operation.get("summary", ""))),
        ", ".join(names),
        ", ".join(bodies),
        "; ".join(_answers(operation["responses"])),
    )


def _answers(responses: Mapping[Any, Mapping[str, Any]]) -> Iterator[str]:
    """The success with its schema, then the problems that are not usual."""
    problems = []
    for status, answer in sorted((str(status), answer) for status, answer in responses.items()):
        if status in _USUAL:
            continue
        if not status.startswith("2"):
            problems.append(status)
            continue
        types = [
            _type(content.get("schema", {})) if kind == "application/json" else f"`{kind}`"
            for kind, content in answer.get("content", {}).items()
        ]
        yield f"{status} {', '.join(types)}".rstrip()
    if problems:
        yield "or " + ", ".join(problems)


def _schema(schema: Mapping[str, Any]) -> Iterator[str]:
    if schema.get("description"):
        yield _line(schema["description"])
        yield ""
    if "enum" in schema:
        yield "One of " + ", ".join(f"`{each}`" for each in schema["enum"]) + "."
    needed = schema.get("required", ())
    rows = [
        (f"`{name}`{'' if name in needed else '?'}", _type(each), _line(each.get("description", "")))
        for name, each in schema.get("properties", {}).items()
    ]
    if rows:
        yield from _table(("field", "type", "meaning"), rows)


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in a few words; a link where it has a name."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#schema-{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("format", schema.get("type", "anything")))


def _line(text: str) -> str:
    return " ".join(text.split())


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    cells = [heads, ("---",) * len(heads), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells]


if __name__ == "__main__":
    (Path(sys.argv[1]) if sys.argv[1:] else PAGE).write_text(text(), encoding="utf-8")
