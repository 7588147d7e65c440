"""Opens the connection to a central system, and says why that failed."""

import asyncio
import logging
import ssl
from typing import Any

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.http11 import Request, Response

from wattspan.errors import HandshakeRefused
from wattspan.proxy.hop import Hop
from wattspan.proxy.protocol import UpstreamProtocol
from wattspan.proxy.target import Template

UPSTREAM_TIMEOUT_S = 30.0
"""Seconds that the central system may take to answer a handshake."""
RETRY_AFTER_S = 10.0
SWITCHING = 101
_DEFLATE_UPSTREAM = [
    ClientPerMessageDeflateFactory(client_max_window_bits=True, compress_settings={"memLevel": 5, "level": 6})
]


async def connect(  # noqa: C901 - one way in, and every way it can fail
    template: Template,
    target: str,
    headers: list[tuple[str, str]],
    *,
    context: ssl.SSLContext | None,
    deflate: bool,
    max_frame_bytes: int,
    logger: logging.Logger,
) -> tuple[Hop, Response]:
    """Return a connection to a central system and its answer to the handshake, which may be a refusal.

    Raises:
        HandshakeRefused: 503 if the central system can't be reached, 502 if it does not answer with HTTP or TLS.
    """
    loop = asyncio.get_running_loop()
    uri = template.uri
    answered: asyncio.Future[Response] = loop.create_future()

    def on_handshake(_hop: Hop, answer: Any) -> None:
        if answered.done():
            return
        if isinstance(answer, Response):
            answered.set_result(answer)
        else:
            answered.set_exception(answer)

    def on_lost(_hop: Hop) -> None:
        if not answered.done():
            answered.set_exception(ConnectionResetError("it closed the connection during the handshake"))

    def factory() -> Hop:
        protocol = UpstreamProtocol(
            uri,
            extensions=_DEFLATE_UPSTREAM if deflate else None,
            max_size=(None, max_frame_bytes),
            logger=logger,
        )
        hop = Hop(protocol, from_charge_point=False, on_handshake=on_handshake)
        hop.on_lost = on_lost
        return hop

    hop: Hop | None = None
    try:
        async with asyncio.timeout(UPSTREAM_TIMEOUT_S):
            _, hop = await loop.create_connection(
                factory, uri.host, uri.port, ssl=context, server_hostname=uri.host if context is not None else None
            )
            protocol = hop.protocol
            assert isinstance(protocol, ClientProtocol)  # noqa: S101
            request = protocol.connect()
            own = [(name, value) for name, value in request.headers.raw_items() if name != "Sec-WebSocket-Protocol"]
            protocol.send_request(Request(target, Headers([*own, *headers])))
            hop.flush()
            response = await answered
            if response.status_code == SWITCHING and protocol.handshake_exc is not None:
                raise protocol.handshake_exc
    except (ssl.SSLError, InvalidHandshake) as exc:
        abort(hop)
        text = f"the central system does not answer properly: {exc}"
        raise HandshakeRefused(502, "upstream_invalid", text) from exc
    except (OSError, TimeoutError) as exc:
        abort(hop)
        text = f"the central system can't be reached: {str(exc) or 'it does not answer'}"
        raise HandshakeRefused(503, "upstream_unreachable", text, retry_after_s=RETRY_AFTER_S) from exc
    except asyncio.CancelledError:
        abort(hop)
        raise
    hop.on_lost = None
    return hop, response


def abort(hop: Hop | None) -> None:
    """End a connection at once, if there is one."""
    if hop is not None and not hop.lost:
        hop.transport.abort()
