"""PromQL for what happened: events counted once each, gauges that several pages may have, the few worst charge points.

A charge point may be on two pages for a while: on those of two nodes when it moves, on the Collector's page twice after
a restart. `max by` takes the one value that both have; a plain sum would count it twice. Which panel asks for what it
must not know.
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_SERIES = 20
"""Charge points on one graph; beyond that nobody can tell lines apart."""
CP = 'cp_id=~"$cp_id"'
"""The selector of the charge points chosen above."""
_CONNECTED = "ocpp_cp_connected"


def by_charge_point(metric: str, *labels: str, selector: str = CP) -> str:
    """Return a gauge of charge points, or a lifetime total of theirs, by `cp_id` and `labels`: each once."""
    return f"max by ({', '.join(('cp_id', *labels))}) ({metric}{{{selector}}})"


def by_connector(metric: str, *, selector: str = CP) -> str:
    """Return a gauge of connectors, each once."""
    return by_charge_point(metric, "connector_id", selector=selector)


def events(metric: str, *labels: str, by: Sequence[str] = ("cp_id",), selector: str = CP) -> str:
    """Return how many events a counter of charge points counted since the last point of the graph, above 0.

    The difference to the value one interval ago counts each event exactly once, over any range. `labels` are those of
    the counter beside `cp_id`: a charge point that was known then and had no such series had counted 0.
    """
    now, then = (_lifetime(f"{metric}{{{selector}}}{offset}", labels) for offset in ("", " offset $__interval"))
    known = f"{_CONNECTED} offset $__interval"
    before = f"({then} or {now} * 0 and on (cp_id) {known})" if labels else then
    return f"{_sum(by)} ({now} - {before}) > 0"


def process_events(metric: str, *by: str, selector: str = "") -> str:
    """Return the same for a counter that begins with its process, by its labels `by`.

    A value below the last one was counted since a restart; one without a last is new, if its page was read then.
    """
    name = f"{metric}{{{selector}}}" if selector else metric
    counted = (
        f"{name} - {name} offset $__interval >= 0 or {name} and on (job, instance) ocpp_central_up offset $__interval"
    )
    return f"{_sum(by)} ({counted}) > 0"


def in_range(metric: str, *labels: str, by: Sequence[str] = (), selector: str = CP) -> str:
    """Return how many events a counter of charge points counted in the range of the dashboard.

    Unlike increase() it does not extrapolate, and it counts the first event of its kind of a charge point that was
    known before the range.
    """
    name = f"{metric}{{{selector}}}"
    now = _lifetime(name, labels)
    least = f"min by ({', '.join(('cp_id', *labels))}) (min_over_time({name}[$__range]))"
    new = f"{now} * 0 unless on ({', '.join(('cp_id', *labels))}) {name} offset $__range"
    known = f"and on (cp_id) {_CONNECTED} offset $__range"
    before = f"({new} {known} or {least})" if labels else least
    return f"{_sum(by)} ({now} - {before})"


def process_in_range(metric: str, *, selector: str) -> str:
    """Return the same for a counter that begins with its process: its increase, and what a new series began with."""
    name = f"{metric}{{{selector}}}"
    increase = f"increase({name}[$__range])"
    return f"sum({increase} + (min_over_time({name}[$__range]) unless {name} offset $__range or {increase} * 0))"


def most(expr: str, rank: str) -> str:
    """Return `expr` for those charge points that `rank`, taken at the end of the range, puts first."""
    return f"{expr} and on (cp_id) topk({MAX_SERIES}, {rank})"


def least(expr: str, rank: str) -> str:
    """Return `expr` for those charge points that `rank`, taken at the end of the range, puts last."""
    return f"{expr} and on (cp_id) bottomk({MAX_SERIES}, {rank})"


def rank_by_events(metric: str, *, selector: str = CP) -> str:
    """Return a rank of charge points: events in the range."""
    return f"sum by (cp_id) (increase({metric}{{{selector}}}[$__range] @ end()))"


def rank_by_highest(metric: str, *, selector: str = CP) -> str:
    """Return a rank of charge points: the highest value in the range, of any connector."""
    return f"max by (cp_id) (max_over_time({metric}{{{selector}}}[$__range] @ end()))"


def rank_by_mean(metric: str, *, selector: str = CP) -> str:
    """Return a rank of charge points: the mean over the range, of the worst connector."""
    return f"min by (cp_id) (avg_over_time({metric}{{{selector}}}[$__range] @ end()))"


def rank_by_time(metric: str, *, selector: str = CP) -> str:
    """Return a rank of charge points: a Unix time, the oldest last."""
    return f"max by (cp_id) ({metric}{{{selector}}} @ end())"


def _lifetime(selected: str, labels: Sequence[str]) -> str:
    return f"max by ({', '.join(('cp_id', *labels))}) ({selected})"


def _sum(by: Sequence[str]) -> str:
    return f"sum by ({', '.join(by)})" if by else "sum"
