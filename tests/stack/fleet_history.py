"""The past of a small fleet as Prometheus would have scraped it: sessions, heartbeats, troubles, a server at ease.

Names, labels and bucket bounds come from the catalogue, and what it does not know raises. Owns what happened when; how
that gets into a database it must not know (`backfill.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from wattspan.telemetry.catalogue import METRICS, Kind

HOUR_S = 3600
DAY_S = 24 * HOUR_S
STEP_S = 150
"""Between two samples: every window of five minutes has two at least."""
QUIET_S = 36 * HOUR_S
"""At the end, without troubles: alerts that count a day must not count them."""
CONNECTORS = ("1", "2")
LIMIT_A = 32.0
VOLTS = 230
POWERS_W = (3680, 7360, 11040, 22080)
ERRORS = ("InternalError", "LocalListConflict", "ResetFailure")
"""None that a simulated fault is counted as: for five minutes, the last value of before stands beside those of now."""
COMMAND = "UnlockConnector"
"""One that nobody gives today, for the same reason."""
PACE_S = {"Heartbeat": 120, "MeterValues": 60, "StatusNotification": 900, "StartTransaction": 5000}
"""One message each so many seconds, on average."""
FAST = (0.3, 0.6, 0.8, 0.9, 0.96, 0.98, 0.99, 0.995, 0.999, 1.0)
"""Share of observations up to each bound of a histogram; beyond these all."""
ABOUT = (
    {"vendor": "Example", "model": "Wall 22", "firmware": "1.4.2", "protocol": "ocpp1.6"},
    {"vendor": "Example", "model": "Post 2x22", "firmware": "2.0.1", "protocol": "ocpp2.0.1"},
)
STATES = ("available", "charging", "unavailable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One transaction, with the same power from start to stop."""

    begin_s: float
    end_s: float
    power_w: int

    @property
    def energy_wh(self) -> float:
        return self.power_w * (self.end_s - self.begin_s) / HOUR_S


class Outlet:
    """One connector and all its sessions, none of them open at the end."""

    def __init__(self, rng: Random, begin_s: float, end_s: float) -> None:
        self.sessions = list(_sessions(rng, begin_s, end_s))
        self._begins = [session.begin_s for session in self.sessions]
        self._ends = [session.end_s for session in self.sessions]
        self._energy_wh = [0.0, *accumulate(session.energy_wh for session in self.sessions)]

    def open_at(self, at_s: float) -> Session | None:
        started = self.started(at_s)
        return self.sessions[started - 1] if started > self.ended(at_s) else None

    def started(self, at_s: float) -> int:
        return bisect_right(self._begins, at_s)

    def ended(self, at_s: float) -> int:
        return bisect_right(self._ends, at_s)

    def energy_wh(self, at_s: float) -> float:
        """Of the sessions that ended."""
        return self._energy_wh[self.ended(at_s)]

    def last_end_s(self, at_s: float) -> float:
        ended = self.ended(at_s)
        return self._ends[ended - 1] if ended else self._begins[0] - DAY_S


def _sessions(rng: Random, begin_s: float, end_s: float) -> Iterator[Session]:
    at_s = begin_s
    while (at_s := at_s + rng.uniform(1, 7) * HOUR_S) < end_s:
        if at_s % DAY_S < 5 * HOUR_S:  # at night nobody comes
            at_s += 5 * HOUR_S
        leaves_s = at_s + rng.uniform(0.5, 3) * HOUR_S
        if leaves_s > end_s - 600:
            return
        yield Session(begin_s=at_s, end_s=leaves_s, power_w=rng.choice(POWERS_W))
        at_s = leaves_s


class Station:
    """One charge point: its outlets, and when it was in trouble."""

    def __init__(self, cp_id: str, rng: Random, begin_s: float, end_s: float) -> None:
        self.cp_id = cp_id
        self.outlets = {number: Outlet(rng, begin_s, end_s) for number in CONNECTORS}
        last_s = end_s - QUIET_S
        self.outages_s = sorted(rng.uniform(begin_s, last_s) for _ in range(5))
        self.faults_s = {error: sorted(rng.uniform(begin_s, last_s) for _ in range(3)) for error in ERRORS}

    def connected(self, at_s: float) -> bool:
        """Each outage lasts ten minutes."""
        before = bisect_right(self.outages_s, at_s)
        return not before or at_s - self.outages_s[before - 1] > 600


class History:
    """Samples of one server and its fleet, `instance` by name.

    With `sites` also what charge points reported about themselves, which a server that goes on from there would
    contradict, and Prometheus' own `up`.
    """

    def __init__(
        self,
        cp_ids: Sequence[str],
        *,
        instance: str,
        begin_s: int,
        end_s: int,
        seed: int = 0,
        sites: Sequence[str] = (),
    ) -> None:
        self._sites = sites
        self._from = {"job": "wattspan", "instance": instance}
        self._begin_s, self._end_s = begin_s, end_s
        self._stations = [Station(cp_id, Random(f"{seed}/{cp_id}"), begin_s, end_s) for cp_id in cp_ids]
        self._up = f'up{{job="wattspan",instance="{instance}"}}'
        self._series: dict[tuple[str, ...], str] = {}

    def lines(self, begin_s: int, end_s: int) -> Iterator[str]:
        """What was scraped from `begin_s` until before `end_s`, in OpenMetrics' lines with time stamps."""
        for at_s in range(max(begin_s, self._begin_s), min(end_s, self._end_s), STEP_S):
            for series, value in self._scrape(at_s):
                yield f"{series} {value:.10g} {at_s}\n"

    def _scrape(self, at_s: int) -> Iterator[tuple[str, float]]:
        for station in self._stations:
            yield from self._of_station(station, at_s)
            for number, outlet in station.outlets.items():
                yield from self._of_outlet(station.cp_id, number, outlet, at_s)
        yield from self._of_server(at_s, at_s - self._begin_s)
        if self._sites:
            yield self._up, 1
            for index, station in enumerate(self._stations):
                about = ABOUT[index % len(ABOUT)] | {"site": self._sites[index % len(self._sites)]}
                yield self._named("ocpp_cp_info", {"cp_id": station.cp_id, **about}), 1

    def _of_station(self, station: Station, at_s: int) -> Iterator[tuple[str, float]]:
        outlets = station.outlets.values()
        connected = station.connected(at_s)
        busy = any(outlet.open_at(at_s) for outlet in outlets)
        outages = bisect_right(station.outages_s, at_s)
        started = sum(outlet.started(at_s) for outlet in outlets)
        heard_s = at_s if connected else at_s - 300
        cp = {"cp_id": station.cp_id}
        yield self._named("ocpp_cp_connected", cp), connected
        yield self._named("ocpp_cp_last_msg_ts", cp), heard_s - 7
        yield self._named("ocpp_cp_last_heartbeat_ts", cp), heard_s - heard_s % 120
        yield self._named("ocpp_cp_last_tx_ts", cp), max(outlet.last_end_s(at_s) for outlet in outlets)
        yield self._named("ocpp_cp_status", cp), 2 if busy else 0
        yield self._named("ocpp_cp_disconnects_total", cp), outages
        yield self._named("ocpp_cp_boots_total", cp), 1 + outages
        yield self._named("ocpp_cp_reconnect_during_tx_total", cp), outages // 2
        yield self._named("ocpp_tx_total", cp), started
        yield self._named("ocpp_cp_energy_total_wh", cp), sum(outlet.energy_wh(at_s) for outlet in outlets)
        yield self._named("ocpp_energy_jump_total", cp), 0
        yield self._named("ocpp_cp_authorizations_total", cp | {"status": "Accepted"}), started
        for error, moments in station.faults_s.items():
            yield self._named("ocpp_cp_errors_total", cp | {"error_type": error}), bisect_right(moments, at_s)
        for word, pace_s in PACE_S.items():
            many = (at_s - self._begin_s) / pace_s
            yield from self._histogram("ocpp_msg_handling_seconds", cp | {"message_type": word}, many, 0.004)

    def _of_outlet(self, cp_id: str, number: str, outlet: Outlet, at_s: int) -> Iterator[tuple[str, float]]:
        session = outlet.open_at(at_s)
        power_w = session.power_w if session else 0
        here = {"cp_id": cp_id, "connector_id": number}
        yield self._named("ocpp_tx_active", here), session is not None
        yield self._named("ocpp_tx_energy_wh", here), power_w * (at_s - session.begin_s) / HOUR_S if session else 0
        yield self._named("ocpp_cp_current_a", here), power_w / VOLTS / (1 if power_w < POWERS_W[2] else 3) * 0.9
        yield self._named("ocpp_cp_current_limit_a", here), LIMIT_A
        yield self._named("ocpp_cp_power_w", here), power_w
        yield self._named("ocpp_connector_status", here), 2 if session else 0
        for state in STATES:
            yield (
                self._named("ocpp_connector_state", here | {"state": state}),
                state == ("charging" if session else "available"),
            )

    def _of_server(self, at_s: int, up_s: int) -> Iterator[tuple[str, float]]:
        fleet = len(self._stations)
        sessions = sum(outlet.ended(at_s) for station in self._stations for outlet in station.outlets.values())
        messages = {word: fleet * up_s / pace_s for word, pace_s in PACE_S.items()}
        plain: Mapping[str, float] = {
            "ocpp_central_up": 1,
            "ocpp_store_waiting": 0,
            "ocpp_store_failures_total": 0,
            "ocpp_central_sockets": sum(station.connected(at_s) for station in self._stations),
            "ocpp_central_unreadable_frames_total": 0,
            "successful_logins_total": up_s // 9000,
            "failed_logins_total": up_s // 70000,
            "account_lockouts_total": 0,
            "user_sessions_active": 2,
            "process_resident_memory_bytes": 9e7 + up_s,
            "process_virtual_memory_bytes": 4e8,
            "process_cpu_seconds_total": up_s * 0.02,
            "process_open_fds": 60,
            "process_max_fds": 65536,
            "process_start_time_seconds": self._begin_s,
        }
        for name, value in plain.items():
            yield self._named(name, {}), value
        for word, many in messages.items():
            for direction in ("in", "out"):
                yield self._named("ocpp_central_messages_total", {"direction": direction, "message_type": word}), many
        yield self._named("ocpp_central_handshakes_rejected_total", {"reason": "unknown_path"}), up_s // 20000
        served = {"method": "GET", "endpoint": "/api/v1/charge-points"}
        yield self._named("http_requests_total", served | {"status": "200"}), up_s / 20
        yield from self._histogram("http_request_duration_seconds", served, up_s / 20, 0.006)
        yield from self._histogram("ocpp_tx_duration_seconds", {}, sessions, 4000)
        yield from self._histogram("ocpp_store_commit_seconds", {}, sum(messages.values()), 0.002)
        yield from self._histogram("ocpp_central_call_seconds", {"action": COMMAND}, up_s / 7200, 0.05)
        yield from self._histogram("user_login_duration_seconds", {}, up_s // 9000, 0.2)
        for name in ("database_health_check_duration_seconds", "system_health_check_duration_seconds"):
            yield from self._histogram(name, {}, up_s // 15, 0.003)

    def _histogram(
        self, name: str, labels: Mapping[str, str], count: float, mean_s: float
    ) -> Iterator[tuple[str, float]]:
        many = int(count)
        bounds = METRICS[name].bounds
        for number, bound in enumerate(bounds):
            share = FAST[min(number, len(FAST) - 1)]
            yield self._named(name, labels, "_bucket", str(bound)), int(many * share)
        yield self._named(name, labels, "_bucket", "+Inf"), many
        yield self._named(name, labels, "_sum"), many * mean_s
        yield self._named(name, labels, "_count"), many

    def _named(self, name: str, labels: Mapping[str, str], suffix: str = "", bound: str = "") -> str:
        """A series as it is written; ValueError for labels that the catalogue does not give this metric."""
        key = (name, suffix, bound, *labels.values())
        if key not in self._series:
            metric = METRICS[name]
            if set(metric.labels) != set(labels) or (metric.kind is Kind.HISTOGRAM) != bool(suffix):
                raise ValueError(f"{name} is not told with {sorted(labels)} and {suffix!r}")
            told = {**self._from, **labels} | ({"le": bound} if bound else {})
            written = ",".join(f'{label}="{value}"' for label, value in told.items())
            self._series[key] = f"{name}{suffix}{{{written}}}"
        return self._series[key]
