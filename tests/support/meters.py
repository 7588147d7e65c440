"""One session of a charger whose meter values a test chooses, over a real socket, in either version."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from support.central import Csms
from support.chargers import Charger, Payload
from wattspan.domain.timestamps import wire_time

AT = {"cp_id": "CP1", "connector_id": "1"}
REGISTER = "Energy.Active.Import.Register"


def sample(value: float, measurand: str = REGISTER, unit: str = "", **more: str) -> Payload:
    return {"value": str(value), "measurand": measurand} | ({"unit": unit} if unit else {}) | more


def sample_2x(sampled: Payload) -> Payload:
    found = {name: value for name, value in sampled.items() if name != "unit"} | {"value": float(sampled["value"])}
    return found | ({"unitOfMeasure": {"unit": sampled["unit"]}} if "unit" in sampled else {})


class Meter:
    """One session of a charger, in either version. Times are seconds after its start, half an hour ago."""

    def __init__(self, csms: Csms, charger: Charger, version: str = "1.6") -> None:
        self.csms, self.charger, self.version = csms, charger, version
        self.began_ts = datetime.now(UTC).timestamp() - 1800
        self.tx: int | str = 0
        self.seq_no = 0

    async def start(self, wh: float | None, unit: str = "", **fields: object) -> "Meter":
        if self.version == "1.6":
            call = {"connectorId": 1, "idTag": "TAG", "timestamp": wire_time(self.began_ts)} | fields
            answer = await self.charger.call("StartTransaction", call | ({} if wh is None else {"meterStart": wh}))
            self.tx = answer["transactionId"]
        else:
            self.tx = "T1"
            begin = () if wh is None else (sample(wh, unit=unit, context="Transaction.Begin"),)
            await self.event("Started", 0, *begin)
        return self

    async def event(self, kind: str, at_s: float, *sampled: Payload) -> None:
        at = wire_time(self.began_ts + at_s)
        values = [{"timestamp": at, "sampledValue": [sample_2x(each) for each in sampled]}] if sampled else []
        call = {
            "eventType": kind,
            "timestamp": at,
            "triggerReason": "MeterValuePeriodic",
            "seqNo": self.seq_no,
            "transactionInfo": {"transactionId": self.tx},
            "evse": {"id": 1, "connectorId": 1},
        }
        self.seq_no += 1
        await self.charger.call("TransactionEvent", call | ({"meterValue": values} if values else {}))

    async def read(self, at_s: float, *sampled: Payload) -> float | None:
        if self.version == "1.6":
            await self.send([(at_s, sampled)])
        else:
            await self.event("Updated", at_s, *sampled)
        return await self.energy()

    async def send(
        self, values: Iterable[tuple[float, Sequence[Payload]]], connector_id: int = 1, *, named: bool = True
    ) -> float | None:
        """Send one MeterValues with these (time, samples)."""
        at = [{"timestamp": wire_time(self.began_ts + at_s), "sampledValue": [*sampled]} for at_s, sampled in values]
        call = {"connectorId": connector_id, "meterValue": at} | ({"transactionId": self.tx} if named else {})
        assert await self.charger.call("MeterValues", call) == {}
        return await self.energy()

    async def energy(self) -> float | None:
        return await self.csms.metric("ocpp_tx_energy_wh", **AT)

    async def stop(self, at_s: float, wh: float | None, unit: str = "", **fields: object) -> float | None:
        if self.version == "1.6":
            call = {"transactionId": self.tx, "timestamp": wire_time(self.began_ts + at_s)} | fields
            await self.charger.call("StopTransaction", call | ({} if wh is None else {"meterStop": wh}))
        else:
            end = () if wh is None else (sample(wh, unit=unit, context="Transaction.End"),)
            await self.event("Ended", at_s, *end)
        return await self.csms.metric("ocpp_cp_energy_total_wh", cp_id="CP1")

    async def corrections(self) -> dict[str, float]:
        """Return the counted reasons, and check that the stored transaction has the same one."""
        shown = {}
        for line in await self.csms.page():
            if line.startswith("ocpp_tx_energy_corrected_total{"):
                name, _, value = line.rpartition(" ")
                shown[name.split('reason="')[1].split('"')[0]] = float(value)
        await self.csms.durable()
        (kept,) = await self.csms.store.transactions()
        assert kept.energy_correction == next(iter(shown), "")
        return shown
