"""The whole fleet in one answer, for the console. Each charge point is a line of its own, so that a browser can parse
a large fleet in parts, between which it paints."""

import asyncio
import zlib
from collections.abc import AsyncIterator

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from wattspan.api import PREFIX
from wattspan.api.access.guard import guarded
from wattspan.api.access.rights import Right
from wattspan.api.filters import FleetFilter
from wattspan.api.models import fleet as models
from wattspan.api.services import Given, Services

router = APIRouter(prefix=PREFIX, tags=["charge points"])

SLICE = 100
"""Charge points rendered between two pauses for messages, about 1 ms."""
_GZIP = 16 + zlib.MAX_WBITS


@router.get("/fleet", response_model=models.Fleet, **guarded(Right.READ))
async def read_fleet(services: Given, request: Request) -> Response:
    """Return all charge points with their connectors in one answer, compressed if the client accepts it.

    Read it once, and follow `/api/v1/events` from before.
    """
    headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(b"".join([part async for part in _parts(services)]), 200, headers, "application/json")
    packer = zlib.compressobj(level=1, wbits=_GZIP)
    packed = [await asyncio.to_thread(packer.compress, part) async for part in _parts(services)]
    return Response(
        b"".join([*packed, packer.flush()]), 200, {**headers, "Content-Encoding": "gzip"}, "application/json"
    )


async def _parts(services: Services) -> AsyncIterator[bytes]:
    """Yield the JSON in parts, between which messages are handled."""
    now_ts, place = services.now_ts(), services.directory.place
    yield b'{"charge_points":[\n'
    separator, lines = b"", []
    async for cp in FleetFilter().each(services):
        lines.append(orjson.dumps(models.charge_point(cp, place(cp.cp_id), now_ts)))
        if len(lines) == SLICE:
            yield separator + b",\n".join(lines)
            separator = b",\n"
            lines.clear()
            await asyncio.sleep(0)
    if lines:
        yield separator + b",\n".join(lines)
    yield b"\n]}"
