"""The reason for which a session's energy is corrected: in the API, on the span, on the page, and counted."""

from pathlib import Path

import wattspan
from support.chargers import START, Payload, energy, meter_values, stop
from support.operators import admin
from support.otlp import receiver
from wattspan.domain.settlement import CORRECTIONS
from wattspan.telemetry.catalogue import OCPP_ENERGY_QUALITY

SESSION_VIEW = Path(wattspan.__file__).parent / "api/console/static/views/session.js"


def quality(span) -> str:
    return next(each.value.string_value for each in span.attributes if each.key == OCPP_ENERGY_QUALITY)


async def test_the_reason_is_in_the_api_on_the_session_span_and_counted(make_csms, monkeypatch):
    """One session as the charger reports it, then one with a stop of 0, then one without a start."""
    with receiver() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        csms = await make_csms()
        async with admin(csms) as operator, csms.charger("CP1") as charger:

            async def session(hour: int, meter_stop: int, **start: object) -> None:
                call: Payload = {**START, "timestamp": f"2026-11-21T0{hour}:00:00Z"} | start
                tx = (await charger.call("StartTransaction", call))["transactionId"]
                for wh in (5_000, 6_000):
                    await charger.call("MeterValues", meter_values(tx, energy(wh)))
                ended = stop(tx, meter_stop) | {"timestamp": f"2026-11-21T0{hour}:30:00Z"}
                await charger.call("StopTransaction", ended)

            await session(1, 7_000)
            await session(2, 0)
            await session(3, 7_000, meterStart=None)
            rows = (await operator.ask("GET", "/transactions"))["items"]
            counted = [
                await csms.metric("ocpp_tx_energy_corrected_total", cp_id="CP1", reason=reason)
                for reason in ("stop_unreachable", "start_missing")
            ]
        await csms.stop()
        spans = [span for span in collector.spans() if span.name == "charging session"]
    shown = [(row["energy_wh"], row["energy_correction"]) for row in rows]
    assert shown == [(2_000, "start_missing"), (5_000, "stop_unreachable"), (6_000, "")]
    assert [quality(span) for span in spans] == ["reported", "stop_unreachable", "start_missing"]
    assert counted == [1, 1]


def test_the_console_explains_every_reason():
    source = SESSION_VIEW.read_text()
    explained = source[source.index("const CORRECTIONS") : source.index("};", source.index("const CORRECTIONS"))]
    assert [reason for reason in CORRECTIONS if f"  {reason}: " not in explained] == []
