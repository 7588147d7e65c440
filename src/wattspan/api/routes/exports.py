"""Exports of sessions, readings, the audit log and id tags, and the summary of a month."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response, StreamingResponse

from wattspan.api import PREFIX
from wattspan.api.access.guard import Who, guarded
from wattspan.api.access.rights import Right
from wattspan.api.exporting import CONTENT, PAGE_ROWS, Format, Rows, download
from wattspan.api.filters import Filter, FleetFilter
from wattspan.api.models import id_tags, records, transactions
from wattspan.api.models import reports as models
from wattspan.api.models.common import At, datetime_of
from wattspan.api.problems import Problem
from wattspan.api.routes.history import availability_of
from wattspan.api.services import Given, Services
from wattspan.domain.timestamps import wire_time_or_none
from wattspan.history.intervals import Availability
from wattspan.store.queries import audit as audit_queries
from wattspan.store.queries import exports as export_queries
from wattspan.store.queries import id_tags as id_tag_queries

FIRST_YEAR, LAST_YEAR = 1970, 9999
"""Months of years between these begin and end within the times that the API knows, in every zone."""

router = APIRouter(prefix=PREFIX, tags=["exports"])

E = TypeVar("E")
K = TypeVar("K")

FAR_TS = 253_402_300_799.0
SESSION_COLUMNS = tuple(name for name in transactions.Transaction.model_fields)
READING_COLUMNS = (
    *("id", "cp_id", "connector_id", "transaction", "charger_at", "received_at"),
    *("energy_wh", "register_wh", "power_w", "current_a", "soc_percent", "offered_a"),
)
AUDIT_COLUMNS = tuple(name for name in records.AuditEntry.model_fields)
ID_TAG_COLUMNS = tuple(name for name in id_tags.IdTag.model_fields)

How = Annotated[Format, Query(alias="format", description="csv, or jsonl: one JSON object a line.")]
From = Annotated[At | None, Query(description="The begin; by default the oldest row.")]
Until = Annotated[At | None, Query(description="The end; by default the newest row.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SessionFilter:
    id_tag: Annotated[str | None, Query(max_length=255, description="Case does not matter.")] = None
    open: Annotated[bool | None, Query(description="Only those that run, or only those that have ended.")] = None


class _Pages(Generic[E, K]):
    """Reads page after page; each begins after the key of the last row."""

    def __init__(
        self,
        read: Callable[[K], Awaitable[Sequence[E]]],
        *,
        key: Callable[[E], K],
        shown: Callable[[E], Mapping[str, Any]],
        after: K,
        wanted: Callable[[E], bool] = lambda _row: True,
    ) -> None:
        self._read = read
        self._key = key
        self._shown = shown
        self._wanted = wanted
        self._after: K | None = after

    async def next(self) -> Rows | None:
        """Return the wanted rows of the next page, or None after the last."""
        if self._after is None:
            return None
        found = await self._read(self._after)
        self._after = self._key(found[-1]) if len(found) == PAGE_ROWS else None
        return [self._shown(each) for each in found if self._wanted(each)]


def _exporting(right: Right) -> dict[str, Any]:
    keywords = guarded(right)
    return {**keywords, "responses": {**keywords["responses"], **CONTENT}, "response_class": Response}


@router.get("/exports/sessions", **_exporting(Right.READ))
async def export_sessions(
    services: Given,
    who: Who,
    fleet: Filter,
    sessions: Annotated[_SessionFilter, Depends()],
    how: How = Format.CSV,
    from_at: From = None,
    until_at: Until = None,
) -> StreamingResponse:
    """Stream the sessions that began within the range, by the server's clock; `began_at` may be the charger's.

    Filtering by id tag requires the right to see id tags.
    """
    if sessions.id_tag is not None and not who.sees_id_tokens:
        raise Problem(403, "viewers may not filter by id tag", kind="right")
    cp_ids = await _chosen(services, fleet)
    first, last = _range(from_at, until_at)
    pages = _Pages(
        lambda after: services.store.read(export_queries.sessions, after, first, last, sessions.id_tag, PAGE_ROWS),
        key=lambda each: each.number,
        wanted=lambda each: (cp_ids is None or each.cp_id in cp_ids) and sessions.open in {None, each.open},
        shown=lambda each: transactions.transaction(each, whole=who.sees_id_tokens).model_dump(mode="json"),
        after=0,
    )
    return download("sessions", how, SESSION_COLUMNS, pages.next)


@router.get("/exports/readings", **_exporting(Right.READ))
async def export_readings(
    services: Given, fleet: Filter, how: How = Format.CSV, from_at: From = None, until_at: Until = None
) -> StreamingResponse:
    """Stream the meter readings that arrived within the range, without their samples as the chargers sent them."""
    cp_ids = await _chosen(services, fleet)
    first, last = _range(from_at, until_at)
    after = await services.store.read(export_queries.before_first_reading, first)
    pages = _Pages(
        lambda after: services.store.read(export_queries.readings, after, last, PAGE_ROWS),
        key=lambda each: each["id"],
        wanted=lambda each: cp_ids is None or each["cp_id"] in cp_ids,
        shown=_reading,
        after=after,
    )
    return download("readings", how, READING_COLUMNS, pages.next)


@router.get("/exports/audit", **_exporting(Right.ADMIN))
async def export_audit_log(
    services: Given, how: How = Format.CSV, from_at: From = None, until_at: Until = None
) -> StreamingResponse:
    """Stream the audit log, oldest rows first."""
    first, last = _range(from_at, until_at)
    pages = _Pages(
        lambda after: services.store.read(audit_queries.entries_between, after, first, last, PAGE_ROWS),
        key=lambda each: each.id,
        shown=lambda each: records.audit_entry(each).model_dump(mode="json"),
        after=0,
    )
    return download("audit", how, AUDIT_COLUMNS, pages.next)


@router.get("/exports/id-tags", **_exporting(Right.WRITE))
async def export_id_tags(services: Given, how: How = Format.CSV) -> StreamingResponse:
    """Stream all id tags on file. The CSV file can be imported again."""
    pages = _Pages(
        lambda after: services.store.read(id_tag_queries.list_id_tags, after, PAGE_ROWS, "", None),
        key=lambda each: each.id_token,
        shown=lambda each: id_tags.id_tag(each).model_dump(mode="json"),
        after="",
    )
    return download("id-tags", how, ID_TAG_COLUMNS, pages.next)


@router.get("/reports/monthly", **guarded(Right.READ))
async def report_month(
    services: Given,
    fleet: Filter,
    month: Annotated[str, Query(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", description="As 2026-11.")],
    by: Annotated[models.ReportBy, Query(description="What each row is of.")] = models.ReportBy.SITE,
    time_zone: Annotated[str, Query(max_length=50, description="Where the month begins and ends.")] = "UTC",
) -> models.MonthlyReport:
    """Sum up the sessions that began in a month, by site, group of id tags or charge point."""
    return await _report(services, fleet, month, by, time_zone)


@router.get("/exports/monthly", **_exporting(Right.READ))
async def export_month(
    services: Given,
    fleet: Filter,
    month: Annotated[str, Query(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", description="As 2026-11.")],
    by: Annotated[models.ReportBy, Query(description="What each row is of.")] = models.ReportBy.SITE,
    time_zone: Annotated[str, Query(max_length=50, description="Where the month begins and ends.")] = "UTC",
    how: How = Format.CSV,
) -> StreamingResponse:
    """Stream the rows of the summary of a month, with `charging_s` in whole seconds."""
    report = await _report(services, fleet, month, by, time_zone)
    parts: list[Rows] = [
        [each.model_dump(mode="json") | {"charging_s": round(each.charging_s)} for each in report.rows]
    ]

    async def next_page() -> Rows | None:
        return parts.pop() if parts else None

    return download(f"{month}-{by.value}", how, tuple(models.ReportRow.model_fields), next_page)


async def _report(
    services: Services, fleet: FleetFilter, month: str, by: models.ReportBy, time_zone: str
) -> models.MonthlyReport:
    from_ts, until_ts = _month(month, time_zone)
    cp_ids = await _chosen(services, fleet)
    groups: Mapping[str, str] = {}
    if by is models.ReportBy.TAG_GROUP:
        groups = await services.store.read(id_tag_queries.groups_of_id_tags)
    sums: dict[str, list[float]] = {}
    after = 0
    while True:
        found, last = await services.store.read(export_queries.session_figures, after, from_ts, until_ts, PAGE_ROWS)
        for each in found:
            if cp_ids is None or each.cp_id in cp_ids:
                own = sums.setdefault(_key(services, by, groups, each), [0, 0.0, 0.0])
                own[0] += 1
                own[1] += each.energy_wh
                own[2] += max(0.0, (each.ended_ts or min(services.now_ts(), until_ts)) - each.began_ts)
        if len(found) < PAGE_ROWS:
            break
        after = last
    now_ts = services.now_ts()
    counted: Mapping[tuple[str, str], Availability] = {}
    if by is not models.ReportBy.TAG_GROUP and from_ts < now_ts:
        known_ids = list(services.fleet.charge_points) if cp_ids is None else sorted(cp_ids)
        counted = await availability_of(services, known_ids, from_ts, min(until_ts, now_ts))
    shares: dict[str, list[float]] = {}
    for (cp_id, _), availability in counted.items():
        if availability.share is not None:
            key = cp_id if by is models.ReportBy.CHARGE_POINT else services.directory.place(cp_id).site_id or ""
            shares.setdefault(key, []).append(availability.share)
    rows = [_row(services, by, key, sums.get(key), shares.get(key)) for key in sorted(sums.keys() | shares.keys())]
    every = [sum(column) for column in zip(*sums.values(), strict=True)] or None
    total = _row(services, None, "", every, [each for own in shares.values() for each in own])
    return models.MonthlyReport.model_validate(
        {
            "month": month,
            "by": by,
            "time_zone": time_zone,
            "from_at": datetime_of(from_ts),
            "until_at": datetime_of(until_ts),
            "rows": rows,
            "total": total,
        }
    )


def _key(services: Services, by: models.ReportBy, groups: Mapping[str, str], each: export_queries.Session) -> str:
    if by is models.ReportBy.CHARGE_POINT:
        return each.cp_id
    if by is models.ReportBy.SITE:
        return services.directory.place(each.cp_id).site_id or ""
    return groups.get(each.id_token.casefold(), "")


def _row(
    services: Services,
    by: models.ReportBy | None,
    key: str,
    sums: Sequence[float] | None,
    shares: Sequence[float] | None,
) -> models.ReportRow:
    sessions, energy_wh, charging_s = sums or (0, 0.0, 0.0)
    name = key
    if by is models.ReportBy.SITE and key in services.directory.sites:
        name = services.directory.sites[key].name or key
    elif by is models.ReportBy.CHARGE_POINT:
        name = services.directory.place(key).name or key
    return models.ReportRow(
        key=key,
        name=name,
        sessions=int(sessions),
        energy_wh=energy_wh,
        charging_s=charging_s,
        availability=sum(shares) / len(shares) if shares else None,
    )


def _month(month: str, time_zone: str) -> tuple[float, float]:
    try:
        zone = ZoneInfo(time_zone)
    except (ValueError, OSError, KeyError):
        raise Problem(
            422, "the time zone is not known", faults=[("query.time_zone", "is no zone of the IANA database")]
        ) from None
    year, number = map(int, month.split("-"))
    if not FIRST_YEAR < year < LAST_YEAR:
        text = f"must be of a year between {FIRST_YEAR} and {LAST_YEAR}"
        raise Problem(422, "the month is not valid", faults=[("query.month", text)])
    following = (year + number // 12, number % 12 + 1)
    begin, end = datetime(year, number, 1, tzinfo=zone), datetime(*following, 1, tzinfo=zone)
    return begin.timestamp(), end.timestamp()


async def _chosen(services: Services, fleet: FleetFilter) -> frozenset[str] | None:
    """Return the charge points that match; None without a filter: removed ones, too."""
    if fleet == FleetFilter():
        return None
    return frozenset(cp.cp_id for cp in await fleet.find(services))


def _range(from_at: At | None, until_at: At | None) -> tuple[float, float]:
    return (
        0.0 if from_at is None else from_at.timestamp(),
        FAR_TS if until_at is None else until_at.timestamp(),
    )


def _reading(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        **row,
        "transaction": row["transaction_number"],
        "charger_at": wire_time_or_none(row["charger_ts"]),
        "received_at": wire_time_or_none(row["received_ts"]),
    }
