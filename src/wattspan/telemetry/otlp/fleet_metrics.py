"""Exports metrics by OTLP, one request after another. It owns batching; points and transport are passed in."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from wattspan.telemetry.otlp.outbox import Dropped
from wattspan.telemetry.otlp.points import Piece, Points
from wattspan.telemetry.otlp.protobuf import framed
from wattspan.telemetry.otlp.requests import POINTS_PER_REQUEST, Preferences

log = logging.getLogger(__name__)

POINTS_AT_ONCE = 250
"""Points encoded, which takes about a millisecond, before this thread pauses."""
PAUSE_S = 0.002
"""The pause: this thread has a minute for its work, and the event loop needs the interpreter."""

_SCOPE_METRICS, _RESOURCE_METRICS = b"\x12", b"\x0a"


class Sender(Protocol):
    """One of our OTLP metric exporters (`http_private`, `grpc_private`)."""

    @property
    def preferences(self) -> Preferences: ...
    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000) -> MetricExportResult: ...
    def send(self, request: bytes) -> bool: ...
    def shutdown(self, timeout_millis: float = 30_000) -> None: ...


class FleetMetrics(MetricExporter):
    """Sends what the SDK collected, then our own families, on the reader's thread (see `families`).

    Each request is encoded after the one before has been sent: all points at once would take 5 kB a charge point.
    """

    def __init__(
        self,
        sender: Sender,
        points: Points,
        resource: Resource,
        scope: InstrumentationScope,
        dropped: Dropped,
        pause: Callable[[], None] = lambda: time.sleep(PAUSE_S),
    ) -> None:
        super().__init__(*sender.preferences)
        self._sender = sender
        self._points = points
        self._resource, self._scope = _envelope(resource, scope)
        self._dropped = dropped
        self._pause = pause

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Send the current values. Blocks, at most for the time-out. After a failed request the rest is dropped."""
        deadline = time.monotonic() + (timeout_millis or 10_000) / 1000
        sent = self._sent(lambda: self._sender.export(metrics_data) is MetricExportResult.SUCCESS)
        if not sent:
            self._dropped(_points(metrics_data))
        for pieces in self._requests():
            request = self._request(pieces)
            sent = sent and time.monotonic() < deadline and self._sent(lambda: self._sender.send(request))  # noqa: B023
            if not sent:
                self._dropped(sum(piece.points for piece in pieces))
        return MetricExportResult.SUCCESS if sent else MetricExportResult.FAILURE

    def _sent(self, send: Callable[[], bool]) -> bool:
        try:
            return send()
        except Exception:
            log.debug("metrics could not be sent", exc_info=True)
            return False

    def _requests(self) -> Iterator[list[Piece]]:
        """Yield all points as they are now, at most POINTS_PER_REQUEST in each request."""
        held: list[Piece] = []
        size = 0
        for piece in self._points.pieces(POINTS_AT_ONCE):
            self._pause()
            if size + piece.points > POINTS_PER_REQUEST:
                yield held
                held, size = [], 0
            held.append(piece)
            size += piece.points
        yield held

    def _request(self, pieces: list[Piece]) -> bytes:
        metrics = b"".join([piece.metric for piece in pieces])
        return framed(_RESOURCE_METRICS, self._resource + framed(_SCOPE_METRICS, self._scope + metrics))

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Return True: nothing is buffered here."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Shut the exporter down, even while it is sending."""
        self._sender.shutdown(timeout_millis)


def _points(data: MetricsData) -> int:
    scopes = [scope for each in data.resource_metrics for scope in each.scope_metrics]
    return sum(len(metric.data.data_points) for scope in scopes for metric in scope.metrics)


def _envelope(resource: Resource, scope: InstrumentationScope) -> tuple[bytes, bytes]:
    """Return the stock encoder's ResourceMetrics without ScopeMetrics, and its ScopeMetrics without metrics."""
    whole = MetricsData([ResourceMetrics(resource, [ScopeMetrics(scope, [], "")], resource.schema_url)])
    (envelope,) = encode_metrics(whole).resource_metrics
    (inner,) = envelope.scope_metrics
    written = inner.SerializeToString()
    del envelope.scope_metrics[:]
    return envelope.SerializeToString(), written
