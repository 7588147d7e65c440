"""Charging sessions whose energy is known, in every shape in which chargers report them (OCPP 1.6 and 2.x).

What truly happened is a `Session`: registers in whole Wh, and the power between them. A `Report` is how a charger with
these habits and faults reports it. The rule that both follow is docs/metering.md's; no code of ours is used here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

Payload = dict[str, Any]

BEGAN_TS = 1_772_438_400.0
"""2026-03-02T08:00:00Z."""
ENERGY, POWER, CURRENT, VOLTAGE = (
    "Energy.Active.Import.Register",
    "Power.Active.Import",
    "Current.Import",
    "Voltage",
)
BEGIN, END = "Transaction.Begin", "Transaction.End"
VERSIONS = ("ocpp1.6", "ocpp1.6", "ocpp2.0.1", "ocpp2.1")
VOLT = 230
SHARES = (0.5, 0.3, 0.2)
"""Of the phases, in power."""
MAX_SCALED_W = 4_000_000
"""The most that any charger delivers: beyond it, a wrong unit is certain."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The meter at `at_s` after the start: its register, and the mean power since the reading before."""

    at_s: int
    register_wh: int
    power_w: int


@dataclass(frozen=True, slots=True)
class Session:
    """What happened. `after`: readings after its end."""

    start_wh: int
    readings: tuple[Reading, ...]
    end: Reading
    after: tuple[Reading, ...] = ()

    @property
    def energy_wh(self) -> int:
        return self.end.register_wh - self.start_wh

    @property
    def mean_w(self) -> float:
        return self.energy_wh * 3600 / self.end.at_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a charger reports a session."""

    version: str
    unit: str
    """"", Wh and kWh are right; "Wh as kWh" and "kWh as Wh" label the one as the other."""
    energy: str
    """total, phases, or both."""
    figures: str
    """What it measures beside: none, power, current, both, or volts (current and voltage)."""
    phases: int
    location: str
    """"", Outlet; "Inlet too": the inlet is reported beside the outlet, in kWh, and its figures are higher."""
    context: str
    grouping: str
    """One meterValue for all samples of a moment (list), for each sample (split), or for each phase (phases)."""
    backwards: bool
    """Samples in the reverse order."""
    batch: int
    """Readings in a message."""
    ends: str
    """Where start and end are beside meterStart and meterStop: none, samples (contexts Begin and End), or, in 2.x,
    late (both in the last message)."""
    ends_in_kwh: bool
    """1.6: meterStart and meterStop are in kWh; the readings prove it."""
    missing: str
    """1.6: none; start (there is no meterStart); or zeros (meterStart and meterStop are 0, and only readings rise)."""
    spikes: tuple[tuple[int, int], ...]
    """(index of a reading, Wh by which it alone is wrong)."""
    late: int | None
    """Index of a message that arrives two later than its turn."""
    doubled: frozenset[int]
    """Indices of messages that are sent twice."""
    boots: int | None
    """Index of a message before which it boots."""
    main_meter: str
    """A lifetime register beside the session's: none, clock (Sample.Clock without a transaction), or zero (connector 0
    with the transaction's id in 1.6, EVSE 0 in 2.x)."""
    power_unit: str = "W"
    """W and kW are right; "W as kW" and "kW as W" label the one as the other."""
    connector_id: int = 1
    """The connector in 1.6, the EVSE in 2.x."""


@dataclass(frozen=True, slots=True)
class Message:
    """A CALL that is sent so many seconds after the start. `transactionId` of 1.6 is set by who sends it."""

    at_s: float
    action: str
    payload: Payload
    newest: Reading | None = None
    """The reading that the connector's figures show after it, where the message has the newest one."""
    is_start: bool = False
    is_stop: bool = False


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    """A session of up to two hours with 350 kW at most."""
    register_wh = start_wh = draw(
        st.sampled_from([0, 0, 1_000, 2_000, 98_000, 210_000, 1_500_000, 27_650_000, 987_654_321])
        | st.integers(0, 10**7)
    )
    at_s, readings = 0, []
    for power_w in draw(st.lists(st.sampled_from([0, 1_400, 7_400, 11_000, 22_000, 90_000, 350_000]), max_size=8)):
        seconds = draw(st.sampled_from([10, 30, 60, 60, 300, 900]))
        at_s += seconds
        register_wh += power_w * seconds // 3600
        readings.append(Reading(at_s, register_wh, power_w))
    last_w = readings[-1].power_w if readings else 11_000
    seconds = draw(st.sampled_from([10, 60, 900]))
    end = Reading(at_s + seconds, register_wh + last_w * seconds // 3600, last_w)
    after = []
    if draw(st.booleans()) and draw(st.booleans()):
        at_s, register_wh = end.at_s, end.register_wh
        for _ in range(draw(st.integers(1, 3))):
            at_s, register_wh = at_s + 20, register_wh + 22_000 * 20 // 3600
            after.append(Reading(at_s, register_wh, 22_000))
    return Session(start_wh, tuple(readings), end, tuple(after))


@st.composite
def reports(draw: st.DrawFn, session: Session, versions: Sequence[str] = VERSIONS) -> Report:
    """A report of the session from which its energy can be known."""
    version = draw(st.sampled_from(versions))
    figures = draw(st.sampled_from(["none", "power", "current", "both", "volts"]))
    units, power_units = ["", "Wh", "kWh"], ["W", "kW"]
    has_power = figures in ("power", "both", "volts") and sum(each.power_w > 0 for each in session.readings) > 2
    if has_power or (version == "ocpp1.6" and session.mean_w * 1000 > 2 * MAX_SCALED_W):
        units += ["Wh as kWh", "kWh as Wh"]
    unit = draw(st.sampled_from(units))
    if has_power and unit in ("", "Wh", "kWh"):
        power_units += ["W as kW", "kW as W"]
    count = len(session.readings)
    spikes = _spikes(session, draw(st.lists(_SPIKES, max_size=2, unique_by=_sign)))
    needs_readings = version != "ocpp1.6" and " as " in unit  # start and stop have the wrong unit, too
    if needs_readings:
        spikes = ()
    in_kwh = version == "ocpp1.6" and unit in ("Wh", "kWh") and count >= 2 and session.start_wh % 1000 == 0
    messages = count + 2
    missing = draw(st.sampled_from(["none"] * 6 + ["start", "zeros"]))
    if version != "ocpp1.6" or in_kwh or spikes or unit not in ("", "Wh", "kWh") or not _rises(session):
        missing = "none"
    ends_in_kwh = in_kwh and session.end.register_wh % 1000 == 0 and draw(st.booleans())
    # What only readings prove is not known if they arrive after the stop.
    may_be_late = missing == "none" and len(spikes) < 2 and not ends_in_kwh and not needs_readings
    return Report(
        version=version,
        unit=unit,
        energy=draw(st.sampled_from(["total", "total", "phases", "both"])),
        figures=figures,
        phases=draw(st.sampled_from([0, 1, 3])),
        location=draw(st.sampled_from(["", "Outlet", "Inlet too"])),
        context=draw(st.sampled_from(["", "Sample.Periodic"])),
        grouping=draw(st.sampled_from(["list", "split", "phases"])),
        backwards=draw(st.booleans()),
        batch=draw(st.sampled_from([1, 1, 2, 3])),
        ends=draw(st.sampled_from(["none", "samples"] if version == "ocpp1.6" else ["samples", "late"])),
        missing=missing,
        ends_in_kwh=ends_in_kwh,
        spikes=spikes,
        late=draw(st.none() | st.integers(1, messages)) if may_be_late else None,
        doubled=draw(st.frozensets(st.integers(0, messages), max_size=2)),
        boots=draw(st.none() | st.integers(1, messages)),
        main_meter=draw(st.sampled_from(["none", "none", "clock", "zero"])),
        power_unit=draw(st.sampled_from(power_units)),
    )


_SPIKES = st.tuples(st.integers(0, 7), st.sampled_from([-2_000_000, -5_000, 5_000, 68_400, 400_000, 2_000_000, 10**9]))


def _sign(spike: tuple[int, int]) -> bool:
    return spike[1] < 0


def _spikes(session: Session, drawn: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return those that are there and back: what follows continues what was before, and not the spike.

    Where start and stop are the same, or 0, a wrong reading contradicts them.
    """
    if len(drawn) > 1 and abs(drawn[0][0] - drawn[1][0]) < 3:
        drawn = drawn[:1]
    following = [*session.readings[1:], session.end]
    return tuple(
        (index, size_wh)
        for index, size_wh in sorted(drawn)
        if index < len(session.readings)
        and session.energy_wh > 0
        and (size_wh < 0 or session.readings[index].register_wh + size_wh > following[index].register_wh)
    )


def _rises(session: Session) -> bool:
    """Whether the readings alone tell that there was energy, of a register that no charger can have reached from 0."""
    readings = session.readings
    if len(readings) <= 2 or readings[-1].register_wh <= readings[0].register_wh:
        return False
    reach_wh = MAX_SCALED_W * readings[0].at_s / 3600 + 1_000
    return session.start_wh > max(50_000, reach_wh)


def energy_wh(session: Session, report: Report) -> int:
    """The energy that the report tells."""
    if report.missing == "none":
        return session.energy_wh
    start_wh = session.start_wh if report.ends == "samples" else session.readings[0].register_wh
    if report.missing == "start" or report.ends == "samples":
        return session.end.register_wh - start_wh
    return session.readings[-1].register_wh - start_wh  # those after the stop don't count


def wire_time(at_s: float) -> str:
    """That moment of the session on the charger's clock."""
    return datetime.fromtimestamp(BEGAN_TS + at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def outlet_power_w(report: Report, reading: Reading) -> float | None:
    """The power that the report tells; None: it tells none, or in a unit that only later readings prove wrong."""
    if " as " in report.power_unit:
        return None
    if report.figures in ("power", "both"):
        return sum(round(share * reading.power_w, 1) for share in shares(report))
    if report.figures == "volts":
        return sum(current * VOLT for current in currents(report, reading))
    return None


def outlet_current_a(report: Report, reading: Reading) -> float | None:
    """The current that the report tells: that of the phase with the highest; None: it tells none."""
    return max(currents(report, reading)) if report.figures in ("current", "both", "volts") else None


def shares(report: Report) -> tuple[float, ...]:
    return SHARES if report.phases == 3 else (1.0,)


def currents(report: Report, reading: Reading) -> list[float]:
    return [round(share * reading.power_w / VOLT, 2) for share in shares(report)]


def messages(session: Session, report: Report) -> list[Message]:
    """Return the charger's CALLs in the order in which they arrive."""
    found = list(_messages_16(session, report) if report.version == "ocpp1.6" else _messages_2x(session, report))
    if report.late is not None and 0 < report.late < len(found) - 1:
        moved = replace(found.pop(report.late), newest=None)
        place = min(report.late + 2, len(found))
        found.insert(place, replace(moved, at_s=found[place - 1].at_s + 0.1))
    sent: list[Message] = []
    for index, message in enumerate(found):
        if report.boots == index:
            sent.append(Message(message.at_s, "BootNotification", _boot(report)))
        sent += [message] * (2 if index in report.doubled else 1)
    return sent


def _boot(report: Report) -> Payload:
    if report.version == "ocpp1.6":
        return {"chargePointVendor": "Acme", "chargePointModel": "One"}
    return {"reason": "ApplicationReset", "chargingStation": {"vendorName": "Acme", "model": "Two"}}


def _messages_16(session: Session, report: Report) -> Iterator[Message]:
    scale = 1000 if report.ends_in_kwh else 1
    start = {
        "connectorId": report.connector_id,
        "idTag": "TAG",
        "meterStart": session.start_wh // scale,
        "timestamp": wire_time(0),
    }
    if report.missing == "start":
        del start["meterStart"]
    elif report.missing == "zeros":
        start["meterStart"] = 0
    yield Message(0.3, "StartTransaction", start, is_start=True)
    opening = Reading(0, session.start_wh, 0)
    begin = _values(report, opening, context=BEGIN) if report.ends == "samples" else []
    for at_s, values, newest in _batches(session, report, begin):
        call = {"connectorId": report.connector_id, "transactionId": None, "meterValue": values}
        yield Message(at_s, "MeterValues", call, newest)
        yield from _main_meter(session, report, at_s)
    stop: Payload = {
        "transactionId": None,
        "meterStop": 0 if report.missing == "zeros" else session.end.register_wh // scale,
        "timestamp": wire_time(session.end.at_s),
    }
    if report.ends == "samples":
        stop["transactionData"] = _values(report, opening, context=BEGIN) + _values(report, session.end, context=END)
    last = session.after[-1] if session.after else session.end
    yield Message(last.at_s + 1, "StopTransaction", stop, is_stop=True)


def _messages_2x(session: Session, report: Report) -> Iterator[Message]:
    opening, seq_no = Reading(0, session.start_wh, 0), 0
    begin = _values(report, opening, context=BEGIN)

    def event(kind: str, at_s: int, values: list[Payload], **more: Any) -> Payload:
        nonlocal seq_no
        call = {
            "eventType": kind,
            "timestamp": wire_time(at_s),
            "triggerReason": "MeterValuePeriodic",
            "seqNo": seq_no,
            "transactionInfo": {"transactionId": f"T-{report.connector_id}"},
            "evse": {"id": report.connector_id, "connectorId": 1},
            **more,
        }
        seq_no += 1
        return call | ({"meterValue": values} if values else {})

    token = {"idToken": {"idToken": "TAG", "type": "ISO14443"}}
    yield Message(0.3, "TransactionEvent", event("Started", 0, begin if report.ends == "samples" else [], **token))
    for at_s, values, newest in _batches(session, report, []):
        yield Message(at_s, "TransactionEvent", event("Updated", int(at_s), values), newest)
        yield from _main_meter(session, report, at_s)
    values = (begin if report.ends == "late" else []) + _values(report, session.end, context=END)
    last = session.after[-1] if session.after else session.end
    ended = event("Ended", session.end.at_s, values)
    yield Message(last.at_s + 1, "TransactionEvent", ended, is_stop=True)


def _batches(
    session: Session, report: Report, first: list[Payload]
) -> Iterator[tuple[float, list[Payload], Reading | None]]:
    """Yield (when it is sent, meterValue, the newest reading) of the messages with readings."""
    wrong = dict(report.spikes)
    readings = [*session.readings, *session.after]
    for begin in range(0, len(readings), report.batch):
        some = readings[begin : begin + report.batch]
        values, first = first, []
        for index, reading in enumerate(some, begin):
            spiked = replace(reading, register_wh=max(0, reading.register_wh + wrong.get(index, 0)))
            values = values + _values(report, spiked, context=report.context)
        yield some[-1].at_s + 0.3, values, some[-1]


def _main_meter(session: Session, report: Report, at_s: float) -> Iterator[Message]:
    """Yield the reading of a meter that is not the session's: a million Wh ahead of it, and faster."""
    if report.main_meter == "none":
        return
    register_wh = session.start_wh + 1_000_000 + int(at_s) * 10
    energy = {"measurand": ENERGY, "value": register_wh, "context": "Sample.Clock"}
    current = {"measurand": CURRENT, "value": 999, "context": "Sample.Clock"}
    sampled = [energy] if report.main_meter == "clock" else [energy, current]
    if report.version == "ocpp1.6":
        sampled = [each | {"value": str(each["value"])} for each in sampled]
    value = {"timestamp": wire_time(int(at_s)), "sampledValue": sampled}
    if report.version != "ocpp1.6":
        evse_id = report.connector_id if report.main_meter == "clock" else 0
        yield Message(at_s + 0.1, "MeterValues", {"evseId": evse_id, "meterValue": [value]})
    elif report.main_meter == "clock":
        yield Message(at_s + 0.1, "MeterValues", {"connectorId": report.connector_id, "meterValue": [value]})
    else:
        yield Message(at_s + 0.1, "MeterValues", {"connectorId": 0, "transactionId": None, "meterValue": [value]})


def _values(report: Report, reading: Reading, *, context: str) -> list[Payload]:
    """Return the meterValue of one moment."""
    sampled = list(_samples(report, reading))
    if context:
        sampled = [each | {"context": context} for each in sampled]
    if report.backwards:
        sampled.reverse()
    at = wire_time(reading.at_s)
    if report.grouping == "list":
        groups = [sampled]
    elif report.grouping == "split":
        groups = [[each] for each in sampled]
    else:
        phases = list(dict.fromkeys(each.get("phase", "") for each in sampled))
        groups = [[each for each in sampled if each.get("phase", "") == phase] for phase in phases]
    return [{"timestamp": at, "sampledValue": [_written(report, each) for each in group]} for group in groups]


def _samples(report: Report, reading: Reading) -> Iterator[Payload]:
    """Yield the samples of one moment, their values in base units; `label` is the energy's, where not its unit's."""
    yield from _energy_samples(report, reading.register_wh)
    yield from _figure_samples(report, reading)


def _energy_samples(report: Report, wh: int) -> Iterator[Payload]:
    place = {"location": "Outlet"} if report.location else {}
    if report.energy != "phases":
        yield {"measurand": ENERGY, "value": wh, "label": report.unit, **place}
    if report.energy != "total":
        for number, part in enumerate((wh // 2, wh // 3, wh - wh // 2 - wh // 3), 1):
            yield {"measurand": ENERGY, "value": part, "label": report.unit, "phase": f"L{number}", **place}
    if report.location == "Inlet too":
        yield {"measurand": ENERGY, "value": 30_000_000 + wh + wh // 10, "label": "kWh", "location": "Inlet"}


def _figure_samples(report: Report, reading: Reading) -> Iterator[Payload]:
    place = {"location": "Outlet"} if report.location else {}
    names = [{}] if report.phases == 0 else [{"phase": f"L{number}"} for number in range(1, report.phases + 1)]
    for phase, share, current in zip(names, shares(report), currents(report, reading), strict=True):
        if report.figures in ("power", "both"):
            power = {"measurand": POWER, "value": round(share * reading.power_w, 1), "label": report.power_unit}
            yield power | phase | place
        if report.figures in ("current", "both", "volts"):
            yield {"measurand": CURRENT, "value": current, "unit": "A", **phase, **place}
        if report.figures == "volts":
            yield {"measurand": VOLTAGE, "value": VOLT, "unit": "V", **phase, **place}
    if report.location == "Inlet too":
        inlet = {"location": "Inlet"}
        if report.figures in ("current", "both"):
            yield {"measurand": CURRENT, "value": round(reading.power_w / 200, 1), "unit": "A", **inlet}
        if report.figures in ("power", "both"):
            yield {"measurand": POWER, "value": round(reading.power_w * 1.1 / 1000, 3), "unit": "kW", **inlet}


def _written(report: Report, sample: Payload) -> Payload:
    """Return a sample as it is on the wire."""
    sample = dict(sample)
    if (label := sample.pop("label", None)) is not None:
        if label.startswith("k"):
            sample["value"] = round(sample["value"] / 1000, 4)
        unit = label.rpartition(" ")[2]
        if unit:
            sample["unit"] = unit
    if report.version == "ocpp1.6":
        return sample | {"value": str(sample["value"])}
    unit = sample.pop("unit", None)
    return sample | ({"unitOfMeasure": {"unit": unit}} if unit else {})
