"""The summary of a month."""

from enum import StrEnum

from wattspan.api.models.common import At, Shown


class ReportBy(StrEnum):
    """What the rows of a summary are of."""

    SITE = "site"
    TAG_GROUP = "tag_group"
    CHARGE_POINT = "charge_point"


class ReportRow(Shown):
    """The sessions that began within the month. `charging_s`: how long they lasted, in all.

    `key` is a site's id, a group of id tags or a charge point; "" is none, or unknown id tags. `availability` is the
    mean of the connectors' as NEVI counts it, 0 to 1; null: unknown, or the row is of id tags.
    """

    key: str
    name: str
    sessions: int
    energy_wh: float
    charging_s: float
    availability: float | None


class MonthlyReport(Shown):
    """The summary of a month, by site, group of id tags or charge point."""

    month: str
    by: ReportBy
    time_zone: str
    from_at: At
    until_at: At
    rows: list[ReportRow]
    total: ReportRow
