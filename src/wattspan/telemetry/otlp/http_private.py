"""The stock OTLP exporters over HTTP, made to send requests that are already encoded.

They own the transport: endpoints, headers, TLS, compression and retries, by the `OTEL_*` variables. Passing them bytes
needs members that they do not promise to keep. Only this module and `grpc_private` use such members;
`tests/unit/telemetry/test_private_reaches.py` names the versions this holds for.
"""

import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as OTLPHttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as OTLPHttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OTLPHttpExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

from wattspan.telemetry.otlp.requests import POINTS_PER_REQUEST, Encode, Preferences

__all__ = ["HttpLogExporter", "HttpMetricExporter", "HttpSpanExporter"]


MAX_ANSWER_BYTES = 65_536
"""What is read of an answer. Only its status and its headers are used."""
ANSWER_S = 2.0
"""How long its body may take, s."""


class _BoundedBody:
    """The body of an answer, which ends after MAX_ANSWER_BYTES or ANSWER_S; then the connection is closed."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, _amount: int, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yield the body in pieces; never decompressed, for a short one may become very long."""
        del decode_content
        left, until_s = MAX_ANSWER_BYTES, time.monotonic() + ANSWER_S
        while piece := self._raw.read1(left, decode_content=False):
            yield piece
            left -= len(piece)
            if left <= 0 or time.monotonic() > until_s:
                self._raw.close()
                return


class _BoundedAdapter(HTTPAdapter):
    def send(self, request: PreparedRequest, *arguments: Any, **options: Any) -> Response:
        response = super().send(request, *arguments, **options)
        response.raw = _BoundedBody(response.raw)
        return response


class _OwnAuthority(Session):
    """A session that prefers the file of OTEL_EXPORTER_OTLP_CERTIFICATE to REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        settings = super().merge_environment_settings(url, proxies, stream, verify, cert)
        if isinstance(self.verify, str):
            settings["verify"] = self.verify
        return settings


def bounded_session() -> Session | None:
    """Return a session that reads no more than MAX_ANSWER_BYTES of an answer.

    None if the variables name a provider of credentials, for that brings a session of its own.
    """
    if any(name.startswith("OTEL_PYTHON_EXPORTER_OTLP_HTTP_") and "CREDENTIAL" in name for name in os.environ):
        return None
    session = _OwnAuthority()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _BoundedAdapter())
    return session


class HttpLogExporter(OTLPHttpLogExporter):
    """OTLP over HTTP for logs: the stock exporter."""

    def __init__(self, timeout_s: float | None = None) -> None:
        super().__init__(session=bounded_session(), timeout=timeout_s)


class HttpSpanExporter(OTLPHttpExporter):
    """OTLP over HTTP: the stock exporter with an encoder of its own."""

    def __init__(self, encode: Encode, timeout_s: float | None = None) -> None:
        super().__init__(session=bounded_session(), timeout=timeout_s)
        self._encode = encode

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch. Blocks, at most for the exporter's time-out."""
        if self._shutdown or not self._client.export(self._encode(spans)).success:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS


class HttpMetricExporter(OTLPHttpMetricExporter):
    """OTLP over HTTP for metrics: the stock exporter, and `send` for requests that are already encoded."""

    def __init__(self, timeout_s: float | None = None) -> None:
        super().__init__(max_export_batch_size=POINTS_PER_REQUEST, session=bounded_session(), timeout=timeout_s)

    @property
    def preferences(self) -> Preferences:
        """What this exporter asks of the SDK."""
        return Preferences(self._preferred_temporality, self._preferred_aggregation)

    def send(self, request: bytes) -> bool:
        """Send an ExportMetricsServiceRequest and return whether it arrived. Blocks, at most for the time-out."""
        return not self._shutdown and self._client.export(request).success
