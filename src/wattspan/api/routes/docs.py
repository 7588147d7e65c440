"""The OpenAPI document, and /docs, which renders it as one page without scripts or external resources."""

import json
import re
from collections.abc import Mapping
from functools import partial
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from wattspan.api import PREFIX
from wattspan.api.problems import once, openapi_document

outside = APIRouter(include_in_schema=False)

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
summary { cursor: pointer; padding: .3rem 0; } code { font-size: .95em; overflow-wrap: anywhere; }
details > div { padding: 0 0 .6rem 1.2rem; } h2 { margin: 2rem 0 .5rem; font-size: 1.1rem; }
.method { display: inline-block; min-width: 4.2rem; font-weight: 600; } .right { opacity: .7; font-size: .85em; }
.what { float: right; max-width: 50%; opacity: .8; font-size: .9em; }
@media (max-width: 50rem) { .what { float: none; display: block; max-width: none; padding-left: 1rem; } }
table { border-collapse: collapse; } td, th { text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top; }
"""


Schemas = Mapping[str, dict[str, Any]]
"""The schemas that others refer to, by name."""
MAX_DEPTH = 4
VALUES: Mapping[str, Any] = {"string": "text", "boolean": True, "object": {}}
FORMATS: Mapping[str, str] = {"date-time": "2026-01-31T08:00:00Z", "date": "2026-01-31"}

ADDRESS = f"{PREFIX}/openapi.json"
SHORT_ADDRESS = "/openapi.json"
"""Where tools look for it by convention."""


@outside.get(SHORT_ADDRESS, name="read_openapi_short")
@outside.get(ADDRESS)
async def read_openapi(request: Request) -> Response:
    """Return the OpenAPI document. Anybody may ask for it, and to render it takes 10 ms."""
    document = await openapi_document(request.app)
    content = await once(request.app, "openapi_json", partial(JSONResponse(None).render, document))
    return Response(content, media_type="application/json")


@outside.get("/docs")
async def read_docs(request: Request) -> HTMLResponse:
    """Return the page, which is rendered once."""
    document = await openapi_document(request.app)
    content = await once(request.app, "docs_page", partial(page, document, ADDRESS))
    return HTMLResponse(content, headers={"Content-Security-Policy": POLICY})


def page(document: dict[str, Any], address: str) -> str:
    """Return the OpenAPI document as an HTML page."""
    by_tag: dict[str, list[str]] = {}
    defined = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(method, path, operation, defined))
    groups = "".join(f"<h2>{escape(tag)}</h2>{''.join(found)}" for tag, found in by_tag.items())
    schemas = "".join(_schema(name, schema) for name, schema in defined.items())
    introduction = "".join(f"<p>{_prose(text)}</p>" for text in document["info"]["description"].split("\n\n"))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Wattspan API</title><style>{STYLE}</style><h1>Wattspan API {escape(document['info']['version'])}</h1>"
        f"{introduction}<p>For programs: <a href='{escape(address)}'>OpenAPI 3.1</a></p>"
        f"{groups}<h2>schemas</h2>{schemas}"
    )


def _operation(method: str, path: str, operation: dict[str, Any], defined: Schemas) -> str:
    parameters = "".join(
        f"<tr><td><code>{escape(each['name'])}</code><td>{escape(each['in'])}<td>{_type(each.get('schema', {}))}"
        f"<td>{_prose(each.get('description', ''))}"
        for each in operation.get("parameters", ())
    )
    body = "".join(
        f"<p>Body: <code>{escape(kind)}</code> {_type(content.get('schema', {}))}</p>{_example(kind, content, defined)}"
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
    )
    answers = "".join(
        f"<tr><td>{escape(str(status))}<td>{_prose(answer['description'])}<td>{_content(answer)}"
        for status, answer in sorted(operation["responses"].items(), key=lambda each: str(each[0]))
    )
    return (
        f"<details><summary><span class=method>{method.upper()}</span> <code>{escape(path)}</code> "
        f"<span class=right>{escape(operation.get('x-right', ''))}</span> "
        f"<span class=what>{_prose(_sentence(operation.get('summary', '')))}</span></summary>"
        f"<div><p>{_prose(operation.get('description', ''))}</p>"
        f"<table>{parameters}</table>{body}<table>{answers}</table></div></details>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code><td>{_type(each)}<td>{_prose(each.get('description', ''))}"
        for field, each in schema.get("properties", {}).items()
    )
    words = ", ".join(map(str, schema.get("enum", ())))
    return (
        f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>"
        f"<div><p>{_prose(schema.get('description', ''))} {escape(words)}</p><table>{rows}</table></div></details>"
    )


def _sentence(summary: str) -> str:
    """Return "Read fleet" of "Read Fleet", as FastAPI makes it of a function's name."""
    return summary.capitalize() if summary.istitle() else summary


def _example(kind: str, content: dict[str, Any], defined: Schemas) -> str:
    """Return a body with the fields that are required, or with all if none is."""
    if kind != "application/json":
        return ""
    schema = _resolved(content.get("schema", {}), defined)
    title = "Example:" if schema.get("required") else "All fields; each is optional:"
    shown = json.dumps(_value(schema, defined), indent=2, ensure_ascii=False)
    return f"<p>{title}</p><pre><code>{escape(shown)}</code></pre>"


def _resolved(schema: dict[str, Any], defined: Schemas) -> dict[str, Any]:
    """Return what the schema refers to, or its first alternative."""
    while "$ref" in schema or "anyOf" in schema:
        schema = schema["anyOf"][0] if "anyOf" in schema else defined[schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def _value(given: dict[str, Any], defined: Schemas, depth: int = 0) -> Any:
    schema = _resolved(given, defined)
    known = schema.get("const", schema.get("default", next(iter(schema.get("enum", ())), None)))
    kind = schema.get("type")
    if known is not None:
        return known
    if kind == "array":
        return [_value(schema.get("items", {}), defined, depth + 1)]
    if kind == "object" and depth < MAX_DEPTH:
        fields = schema.get("properties", {})
        return {name: _value(fields[name], defined, depth + 1) for name in schema.get("required", fields)}
    if kind in {"integer", "number"}:
        return int(schema.get("minimum", 1))
    return FORMATS.get(str(schema.get("format")), VALUES.get(str(kind)))


def _prose(text: str) -> str:
    """Return text as HTML; what stands between backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _content(answer: dict[str, Any]) -> str:
    return " ".join(_type(content.get("schema", {})) for content in answer.get("content", {}).values())


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"<a href='#{escape(name)}'>{escape(name)}</a>"
    if "anyOf" in schema:
        return " | ".join(_type(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("format", schema.get("type", "anything"))))
