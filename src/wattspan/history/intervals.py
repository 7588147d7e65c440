"""Intervals from changes of state, and availability from intervals. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wattspan.history.timelines import COMMAND, CONNECTED, CONNECTION, OUT_OF_SERVICE, STATUS, UNKNOWN
from wattspan.store.queries.timelines import PlannedOutage, StateChange

Place = tuple[str, str]
"""Charge point and connector; connector "" is the charge point's connection."""


class Interval(NamedTuple):
    """A state and how long it lasted. `detail`: the error code of a status."""

    from_ts: float
    until_ts: float
    state: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Seconds of a connector in the range, as NEVI counts them (23 CFR 680.116).

    `known_s`: since its first record. `outage_s`: without connection, faulted or out of service. `excluded_s`: the part
    of the outage that was planned, or in which this server did not run.
    """

    known_s: float
    outage_s: float
    excluded_s: float

    @property
    def share(self) -> float | None:
        """The share of the time that it was available, 0 to 1; None: nothing is known of the range."""
        return None if self.known_s <= 0 else 1.0 - (self.outage_s - self.excluded_s) / self.known_s


def intervals(changes: Iterable[StateChange], from_ts: float, until_ts: float) -> dict[Place, list[Interval]]:
    """Return the intervals of each connection and connector within the range; `changes` are sorted by time."""
    found: dict[Place, list[Interval]] = {}
    for change in changes:
        if change.kind == COMMAND:
            continue
        own = found.setdefault((change.cp_id, change.connector_id), [])
        at_ts = max(change.at_ts, from_ts)
        if own:
            own[-1] = own[-1]._replace(until_ts=at_ts)
            if own[-1].until_ts <= own[-1].from_ts:
                own.pop()
        if at_ts < until_ts:
            own.append(Interval(at_ts, until_ts, change.state, change.detail))
    return found


def by_step(own: Sequence[Interval], from_ts: float, step_s: float) -> list[Interval]:
    """Return intervals on a grid of steps, each with the state that lasted longest in it; equal neighbours are one."""
    made: list[Interval] = []
    for index, shares in sorted(_shares(own, from_ts, step_s).items()):
        state, detail = max(shares, key=lambda each: shares[each])
        start_ts = from_ts + index * step_s
        if made and made[-1].until_ts == start_ts and made[-1][2:] == (state, detail):
            made[-1] = made[-1]._replace(until_ts=start_ts + step_s)
        else:
            made.append(Interval(start_ts, start_ts + step_s, state, detail))
    return made


def _shares(own: Sequence[Interval], from_ts: float, step_s: float) -> dict[int, dict[tuple[str, str], float]]:
    found: dict[int, dict[tuple[str, str], float]] = {}
    for each in own:
        index = int((each.from_ts - from_ts) // step_s)
        while from_ts + index * step_s < each.until_ts:
            begins_ts = from_ts + index * step_s
            within_s = min(each.until_ts, begins_ts + step_s) - max(each.from_ts, begins_ts)
            shares = found.setdefault(index, {})
            key = (each.state, each.detail)
            shares[key] = shares.get(key, 0.0) + within_s
            index += 1
    return found


def availability(
    found: Mapping[Place, Sequence[Interval]], planned: Sequence[PlannedOutage]
) -> dict[Place, Availability]:
    """Return the availability of each connector; connector 0 is the charge point's, not one of them.

    A charge point that never reported a connector has one of the id "".
    """
    made: dict[Place, Availability] = {}
    cp_ids = {cp_id for cp_id, _ in found}
    for cp_id in sorted(cp_ids):
        connectors = sorted(each for cp, each in found if cp == cp_id and each not in ("", "0")) or [""]
        connection = found.get((cp_id, ""), ())
        of_all = [_span(each) for each in found.get((cp_id, "0"), ()) if each.state in OUT_OF_SERVICE]
        down = [_span(each) for each in connection if each.state not in (CONNECTED, UNKNOWN)]
        unknown = [_span(each) for each in connection if each.state == UNKNOWN]
        for connector_id in connectors:
            own = found.get((cp_id, connector_id), ())
            known = _union([*map(_span, connection), *map(_span, own)])
            out = [_span(each) for each in own if connector_id and each.state in OUT_OF_SERVICE]
            outage = _union([*down, *of_all, *out, *unknown])
            excluded = _union(
                [
                    *unknown,
                    *(
                        (each.from_ts, each.until_ts)
                        for each in planned
                        if each.cp_id == cp_id and each.connector_id in ("", connector_id)
                    ),
                ]
            )
            made[cp_id, connector_id] = Availability(
                known_s=_length(known), outage_s=_length(outage), excluded_s=_length(_both(outage, excluded))
            )
    return made


Span = tuple[float, float]


def _span(each: Interval) -> Span:
    return each.from_ts, each.until_ts


def _union(spans: Sequence[Span]) -> list[Span]:
    made: list[Span] = []
    for begin, end in sorted(spans):
        if made and begin <= made[-1][1]:
            made[-1] = (made[-1][0], max(end, made[-1][1]))
        else:
            made.append((begin, end))
    return made


def _both(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    cut = [(max(a, c), min(b, d)) for a, b in one for c, d in other]
    return [(begin, end) for begin, end in cut if begin < end]


def _length(spans: Sequence[Span]) -> float:
    return sum(end - begin for begin, end in spans)


__all__ = ["CONNECTION", "STATUS", "Availability", "Interval", "Place", "availability", "by_step", "intervals"]
