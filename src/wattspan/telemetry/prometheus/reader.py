"""The metric reader behind /metrics (docs/adr/0012-founding-decisions.md#8). It owns when and in what order the page
is rendered, not the text.

Our own families come straight from the state, foreign instruments from the SDK. The page is rendered on the event loop
in slices, so the state needs no lock and no message waits long. What does not need the state (the SDK's collection,
compression) runs in threads. One scrape runs at a time; a second one waits.
"""

import asyncio
import gc
import inspect
import time
import zlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import MetricReader, MetricsData

from wattspan.telemetry.catalogue import METRICS
from wattspan.telemetry.families import State
from wattspan.telemetry.prometheus.collected import collected_lines
from wattspan.telemetry.prometheus.exposition import Format
from wattspan.telemetry.prometheus.foreign import ForeignPage, metrics_of
from wattspan.telemetry.prometheus.page import Page
from wattspan.telemetry.sdk_private import has_provider

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


class PrometheusReader(MetricReader):
    """A pull reader for one MeterProvider. Without a provider it has only our own families, without a state none."""

    def __init__(self, state: State | None) -> None:
        super().__init__(**cardinality_limits())
        self._state = state
        self._page = Page(state) if state is not None else None
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
            with _no_garbage_collection():
                return [piece async for piece in self._pieces(form, frozenset(names), gzip)]

    async def _pieces(self, form: Format, names: frozenset[str], gzip: bool) -> AsyncIterator[bytes]:
        whole = self._text(form, names, await asyncio.to_thread(self._collect_foreign))
        texts = _sliced(whole, self._pause_s)
        if not gzip:
            async for text in texts:
                yield text.encode()
            return
        pack = zlib.compressobj(1, wbits=GZIP)
        packing: asyncio.Future[bytes] | None = None
        async for text in texts:  # rendered while the previous one is compressed
            if packing is not None:
                yield await packing
            packing = asyncio.ensure_future(asyncio.to_thread(_pack, pack, text))
        if packing is not None:
            yield await packing
        yield pack.flush()

    def _pause_s(self) -> float:
        return PAUSE_S if self._state is not None and self._state.counters.store_waiting else 0.0

    def _text(self, form: Format, names: frozenset[str], collected: MetricsData | None) -> Iterator[str]:
        wanted = names.__contains__ if names else lambda _: True
        if self._page is not None:
            yield from self._page.render(form, wanted)
        yield from self._of_instruments(form, names, wanted, collected)
        if form is Format.OPENMETRICS:
            yield "# EOF\n"

    def _of_instruments(
        self, form: Format, names: frozenset[str], wanted: Callable[[str], bool], collected: MetricsData | None
    ) -> Iterator[str]:
        """Yield what the SDK collected: our own metrics that are not read from the state, then those of others."""
        shown = self._state.names() if self._state is not None else frozenset()
        metrics = [metric for metric in metrics_of(collected) if metric.name not in shown]
        own = {metric.name: metric for metric in metrics if metric.name in METRICS}
        yield from collected_lines(own.values(), form, wanted)
        yield self._foreign_page.text((metric for metric in metrics if metric.name not in METRICS), form, names)

    def _collect_foreign(self) -> MetricsData | None:
        """Return what the SDK collected from all instruments; None without a provider."""
        self._foreign = None
        if has_provider(self):
            self.collect()
        return self._foreign

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:
        self._foreign = metrics_data

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Do nothing: nothing runs between scrapes."""


def _pack(pack: "zlib._Compress", text: str) -> bytes:
    return pack.compress(text.encode())


async def _sliced(pieces: Iterator[str], pause_s: Callable[[], float]) -> AsyncIterator[str]:
    """Yield `pieces` joined to larger ones. After each slice of rendering the loop is free for `pause_s` seconds."""
    held: list[str] = []
    size = 0
    pause_at = time.perf_counter() + SLICE_S
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= PIECE_CHARACTERS:
            yield "".join(held)
            held, size = [], 0
        if time.perf_counter() >= pause_at:
            await asyncio.sleep(pause_s())
            pause_at = time.perf_counter() + SLICE_S
    yield "".join(held)


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
