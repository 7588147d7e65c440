"""A public network for `wattspan chargy`: KML by the station, and an HTTP server that does what a test says."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from xml.sax.saxutils import escape

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]

KML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{}</Document></kml>'
)


def connector(name: str, state: str, kw: Any = 22.08) -> dict[str, Any]:
    return {"id": 7, "name": name, "description": state, "maxchspeed": kw}


def device(name: str, *connectors: Any) -> str:
    return json.dumps({"id": 3, "name": name, "connectors": list(connectors)})


def placemark(name: str, *devices: str) -> str:
    told = "".join(f'<Data name="chargingdevice"><value>{escape(each)}</value></Data>' for each in devices)
    return f"<Placemark><name>{name}</name><ExtendedData><Data name='other'/>{told}</ExtendedData></Placemark>"


def kml(*placemarks: str) -> bytes:
    return KML.format("".join(placemarks)).encode()


def plain(*states: str) -> bytes:
    """One station `Park`, one device `D`, connectors `D-1`, `D-2`, … in these states."""
    return kml(placemark("Park", device("D", *(connector(f"D-{n}", each) for n, each in enumerate(states, 1)))))


def says(body: bytes = b"", status: int = 200, **headers: str) -> Answer:
    """An answer as it should be; `_` in a header's name is a dash."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        told = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        writer.write(f"HTTP/1.1 {status} X\r\n{lines}Connection: close\r\n\r\n".encode() + body)

    return answer


class Site:
    """A server whose answers a test replaces. `requests` holds the headers of each, names in small letters."""

    def __init__(self) -> None:
        self.answer: Answer = says(status=500)
        self.requests: list[Mapping[str, str]] = []
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def run(cls, answer: Answer) -> AsyncIterator["Site"]:
        """One that listens."""
        site = cls()
        site.answer = answer
        async with await asyncio.start_server(site._serve, "127.0.0.1", 0) as server:
            site.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/feed.kml"
            yield site

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(_headers(head.split("\r\n")[1:]))
            await self.answer(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


def _headers(lines: Sequence[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines if line)
    return {name.lower(): value.strip() for name, _, value in pairs}
