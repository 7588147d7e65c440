"""The metric reader behind /metrics (docs/adr/0012-founding-decisions.md#8). It owns when and in what order the page
is rendered, not the text.

Our own families come straight from the state, foreign instruments from the SDK. The page is rendered on the event loop
in slices, so the state needs no lock and no message waits long. What does not need the state (the SDK's collection,
compression) runs in threads. One scrape runs at a time; a second one waits.
"""

import asyncio
import gc
import inspect
import logging
import time
import zlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, AnyStr, Protocol

from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    MetricsTimeoutError,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import Metric, MetricReader, MetricsData
from opentelemetry.sdk.resources import Resource

from wattspan.telemetry.catalogue import BY_OTLP_ONLY, METRICS
from wattspan.telemetry.families import State
from wattspan.telemetry.prometheus.collected import collected_lines
from wattspan.telemetry.prometheus.exposition import TARGET, TARGET_INFO, Format, target_info, target_labels
from wattspan.telemetry.prometheus.foreign import ForeignPage, metrics_of
from wattspan.telemetry.prometheus.page import Page
from wattspan.telemetry.prometheus.protobuf import ProtobufPage, collected_families, foreign_families
from wattspan.telemetry.prometheus.protobuf import target_info as protobuf_target_info
from wattspan.telemetry.sdk_private import has_provider

log = logging.getLogger(__name__)

SLICE_S = 0.0005
"""Rendering yields to the event loop after this time, s."""
PAUSE_S = 0.001
"""How long rendering then sleeps if answers wait for the store, s. The store's thread needs the interpreter several
times for a batch; a loop that never sleeps hands it over half a millisecond later each time."""
PIECE_CHARACTERS = 1 << 18
"""Characters that are passed to compression or to the socket in one piece."""
GZIP = 16 + zlib.MAX_WBITS
SERIES_LIMIT = 200_000
"""Series of one instrument: ten times a fleet of 20,000. The SDK never frees the slots of series that are gone."""


def cardinality_limits() -> dict[str, Any]:
    """Return keyword arguments for any MetricReader that raise the SDK's series limit; none before SDK 1.45.2."""
    if "cardinality_limits" not in inspect.signature(MetricReader.__init__).parameters:
        return {}
    kinds = (Counter, UpDownCounter, Histogram, ObservableCounter, ObservableUpDownCounter, ObservableGauge)
    return {"cardinality_limits": dict.fromkeys(kinds, SERIES_LIMIT)}


class Guard(Protocol):
    """What has to hold for a page of a node of a cluster: see `wattspan.cluster.page_guard`."""

    async def before(self) -> None:
        """Wait until the page may be rendered."""

    async def after(self) -> bool:
        """Wait until what was rendered may be shown. Return False if it should be rendered again."""


class PrometheusReader(MetricReader):
    """A pull reader for one MeterProvider. Without a provider it has only our own families, without a state none."""

    def __init__(self, state: State | None, resource: Resource | None = None) -> None:
        """`resource` is shown as `target_info`."""
        super().__init__(**cardinality_limits())
        self.guard: Guard | None = None
        """Of a node of a cluster."""
        self._resource = resource
        self._state = state
        self._page = Page(state) if state is not None else None
        self._protobuf_page = ProtobufPage(state) if state is not None else None
        self._turn = asyncio.Lock()
        self._foreign_page = ForeignPage()
        self._foreign: MetricsData | None = None

    def forget(self, cp_id: str) -> None:
        """Drop what is cached for a decommissioned charge point."""
        if self._page is not None:
            self._page.forget(cp_id)

    async def scrape(self, form: Format, *, names: Collection[str] = (), gzip: bool = False) -> list[bytes]:
        """Return the page in pieces, compressed or not. `names` limits it to these families; empty means all.

        For the event loop's thread alone. Cancellation: safe.
        """
        async with self._turn:
            if self.guard is None:
                return await self._rendered(form, frozenset(names), gzip)
            await self.guard.before()
            page = await self._rendered(form, frozenset(names), gzip)
            if not await self.guard.after():
                await self.guard.before()
                page = await self._rendered(form, frozenset(names), gzip)
            return page

    async def _rendered(self, form: Format, names: frozenset[str], gzip: bool) -> list[bytes]:
        with _no_garbage_collection():
            return [piece async for piece in self._pieces(form, names, gzip)]

    async def _pieces(self, form: Format, names: frozenset[str], gzip: bool) -> AsyncIterator[bytes]:
        collected = await asyncio.to_thread(self._collect_foreign)
        parts: AsyncIterator[str] | AsyncIterator[bytes]
        if form is Format.PROTOBUF:
            parts = _sliced(self._messages(names, collected), self._pause_s, b"")
        else:
            parts = _sliced(self._text(form, names, collected), self._pause_s, "")
        if not gzip:
            async for part in parts:
                yield _encoded(part)
            return
        pack = zlib.compressobj(1, wbits=GZIP)
        packing: asyncio.Future[bytes] | None = None
        async for part in parts:  # rendered while the previous one is compressed
            if packing is not None:
                yield await packing
            packing = asyncio.ensure_future(asyncio.to_thread(_pack, pack, part))
        if packing is not None:
            yield await packing
        yield pack.flush()

    def _pause_s(self) -> float:
        return PAUSE_S if self._state is not None and self._state.counters.store_waiting else 0.0

    def _text(self, form: Format, names: frozenset[str], collected: MetricsData | None) -> Iterator[str]:
        wanted = names.__contains__ if names else lambda _: True
        if self._resource is not None and (wanted(TARGET_INFO) or wanted(TARGET)):
            yield target_info(self._resource.attributes, form)
        if self._page is not None:
            yield from self._page.render(form, wanted)
        own, foreign = self._of_instruments(collected)
        yield from collected_lines(own, form, wanted)
        yield self._foreign_page.text(foreign, form, names)
        if form is Format.OPENMETRICS:
            yield "# EOF\n"

    def _messages(self, names: frozenset[str], collected: MetricsData | None) -> Iterator[bytes]:
        """Yield the page in Prometheus' protobuf format."""
        wanted = names.__contains__ if names else lambda _: True
        if self._resource is not None and wanted(TARGET_INFO):
            yield protobuf_target_info(target_labels(self._resource.attributes))
        if self._protobuf_page is not None:
            yield from self._protobuf_page.render(wanted)
        own, foreign = self._of_instruments(collected)
        yield from collected_families(own, wanted)
        yield from foreign_families(self._foreign_page.families(foreign, names))

    def _of_instruments(self, collected: MetricsData | None) -> tuple[list[Metric], list[Metric]]:
        """Return what the SDK collected: our own metrics that are not read from the state, and those of others."""
        shown = self._state.names() if self._state is not None else frozenset()
        metrics = [metric for metric in metrics_of(collected) if metric.name not in shown | BY_OTLP_ONLY]
        own = {metric.name: metric for metric in metrics if metric.name in METRICS}
        return list(own.values()), [metric for metric in metrics if metric.name not in METRICS]

    def _collect_foreign(self) -> MetricsData | None:
        """Return what the SDK collected from all instruments; None without a provider, and after its time-out.

        The SDK's time-out passes also if this process was stopped meanwhile, or if the clock was set forward.
        """
        self._foreign = None
        if has_provider(self):
            try:
                self.collect()
            except MetricsTimeoutError as exc:
                log.warning("a page has none of the metrics that OpenTelemetry's SDK collects: %s", exc)
        return self._foreign

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:
        self._foreign = metrics_data

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Do nothing: nothing runs between scrapes."""


def _encoded(part: str | bytes) -> bytes:
    return part if isinstance(part, bytes) else part.encode()


def _pack(pack: "zlib._Compress", part: str | bytes) -> bytes:
    return pack.compress(_encoded(part))


async def _sliced(pieces: Iterator[AnyStr], pause_s: Callable[[], float], empty: AnyStr) -> AsyncIterator[AnyStr]:
    """Yield `pieces` joined to larger ones. After each slice of rendering the loop is free for `pause_s` seconds."""
    held: list[AnyStr] = []
    size = 0
    pause_at = time.perf_counter() + SLICE_S
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= PIECE_CHARACTERS:
            yield empty.join(held)
            held, size = [], 0
        if time.perf_counter() >= pause_at:
            await asyncio.sleep(pause_s())
            pause_at = time.perf_counter() + SLICE_S
    yield empty.join(held)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Suspend the garbage collector: a scrape allocates millions of strings and no cycles; a collection takes long."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
