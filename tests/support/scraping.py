"""A fleet to scrape, and the page's raw lines: prometheus_client's own parser renames `ocpp_cp_energy_total_wh`."""

import zlib
from collections.abc import Sequence

from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.domain.counters import ServerCounters
from wattspan.domain.fleet import Fleet
from wattspan.telemetry.families import State
from wattspan.telemetry.histogram import Histograms
from wattspan.telemetry.prometheus.exposition import Format
from wattspan.telemetry.prometheus.reader import PrometheusReader

NOW_TS = 1_800_000_000.0
STARTED_TS = NOW_TS - 3600
ACTIONS = ("BootNotification", "Heartbeat", "StatusNotification", "Authorize")


def state(*, by_charge_point: bool = True) -> State:
    """An empty fleet at NOW_TS, in a process that began at STARTED_TS."""
    return State(
        fleet=Fleet(),
        counters=ServerCounters(started_ts=STARTED_TS),
        histograms=Histograms(by_charge_point=by_charge_point),
        clock=lambda: NOW_TS,
    )


def fill(shown: State, count: int, *, actions: Sequence[str] = ACTIONS) -> None:
    """`count` charge points that are connected and booted, with two connectors each, the first of them charging."""
    for number in range(1, count + 1):
        cp_id = f"CP-{number:06d}"
        for event in _life(cp_id, number):
            apply(shown.fleet, event)
        for action in actions:
            shown.histograms.handling.series(cp_id, action).record(0.002)


def _life(cp_id: str, number: int) -> list[ev.Event]:
    at_ts, tx = NOW_TS, str(number)
    reading = ev.Reading(charger_ts=at_ts, register_wh=1500.5, current_a=16.0, power_w=11040.0, offered_a=32.0)
    return [
        ev.ChargePointConnected(cp_id=cp_id, received_ts=at_ts, protocol="ocpp1.6"),
        ev.ChargePointBooted(cp_id=cp_id, received_ts=at_ts, vendor="Acme", model="One", firmware="1.0"),
        ev.HeartbeatReceived(cp_id=cp_id, received_ts=at_ts),
        ev.ConnectorStatusChanged(cp_id=cp_id, received_ts=at_ts, connector_id="2", status="Available"),
        ev.ConnectorStatusChanged(cp_id=cp_id, received_ts=at_ts, connector_id="1", status="Charging"),
        ev.TransactionStarted(
            cp_id=cp_id,
            received_ts=at_ts,
            connector_id="1",
            transaction_id=tx,
            key=f"start {tx}",
            id_token="TOKEN",
            meter_start_wh=1000.0,
            started_ts=at_ts,
        ),
        ev.MeterValuesReceived(
            cp_id=cp_id, received_ts=at_ts, connector_id="1", transaction_id=tx, readings=(reading,)
        ),
    ]


async def scraped(reader: PrometheusReader, form: Format = Format.TEXT, names: Sequence[str] = ()) -> str:
    """The whole page."""
    return b"".join(await reader.scrape(form, names=names)).decode()


async def unpacked(reader: PrometheusReader, form: Format = Format.TEXT) -> str:
    """The whole page by way of gzip."""
    return zlib.decompress(b"".join(await reader.scrape(form, gzip=True)), wbits=31).decode()


def samples(page: str) -> dict[str, str]:
    """Sample lines: the value as written, by name and labels as written. A line that comes twice fails."""
    found: dict[str, str] = {}
    for line in page.splitlines():
        if not line.startswith("#"):
            series, _, value = line.partition(" # ")[0].rpartition(" ")
            assert series not in found, f"{series} comes twice"
            found[series] = value
    return found
