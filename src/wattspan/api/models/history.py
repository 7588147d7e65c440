"""The history: series, timelines, availability, planned outages."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from wattspan.api.models.common import At, Body, CpId, Shown, Text, datetime_of
from wattspan.history.intervals import Availability as Counted
from wattspan.history.intervals import Interval as Found
from wattspan.store.queries.timelines import PlannedOutage as StoredOutage
from wattspan.store.queries.timelines import StateChange

NEVI_TARGET = 0.97
"""The availability that NEVI requires (23 CFR 680.116)."""


class Channel(StrEnum):
    """What a series measures."""

    POWER = "power_w"
    ENERGY = "energy_wh"
    SESSIONS = "sessions"
    CONNECTED = "connected"
    FAULTS = "faults"
    CURRENT = "current_a"


class By(StrEnum):
    """What the series of an answer are of."""

    TOTAL = "total"
    SITE = "site"
    CHARGE_POINT = "charge_point"
    CONNECTOR = "connector"


class Series(Shown):
    """One series. `values` has one value for each step, null where nothing was sampled.

    `energy_wh` is the energy delivered within the step. The others are means over it: power in W; the number of
    sessions, of connected charge points and of faulted connectors; current in A, that of a connector's highest phase as
    in `ocpp_cp_current_a`, and the sum of its connectors' for a charge point. Ids are null where the series is not of
    one: `site_id` null with `by` "site" is the charge points without a site.
    """

    metric: Channel
    site_id: str | None = None
    cp_id: str | None = None
    connector_id: str | None = None
    values: list[float | None]


class SeriesRange(Shown):
    """Series over a range. Value number n is of the step that begins at `from_at` plus n times `step_s`.

    `step_s` may be longer than asked for: steps of 1 minute are kept for 2 days, of 15 minutes for 60 days, of 1 hour
    for 2 years.
    """

    from_at: At
    until_at: At
    step_s: int
    series: list[Series]


class Interval(Shown):
    """A state and how long it lasted, cut off at the ends of the range. `detail`: the error code of a status."""

    from_at: At
    until_at: At
    state: str
    detail: str


class Mark(Shown):
    """A command on a timeline: `action`, and the status of its answer or why it failed."""

    at: At
    action: str
    result: str


class SessionMark(Shown):
    """A charging session on a timeline. `ended_at` null: it is open."""

    number: int
    began_at: At
    ended_at: At | None
    energy_wh: float


class Timeline(Shown):
    """The states of a connector, or of a charge point's connection (`connector_id` "").

    States of a connector are OCPP's statuses; those of a connection are connected, disconnected and unknown (this
    server did not run).
    """

    cp_id: str
    connector_id: str
    intervals: list[Interval]
    commands: list[Mark]
    sessions: list[SessionMark]


class Timelines(Shown):
    """Timelines over a range. `complete` false: there were more changes than are shown; narrow the range."""

    from_at: At
    until_at: At
    complete: bool
    timelines: list[Timeline]


class ConnectorAvailability(Shown):
    """The availability of a connector in a range, as NEVI counts it (23 CFR 680.116).

    Its connection is lost, or it is faulted or out of service: that is an outage. `excluded_s` is the part of it that
    was planned, or in which this server did not run. `availability` is the share of `known_s` without the rest of
    the outage, 0 to 1; null: nothing is known of the range.
    """

    cp_id: str
    connector_id: str
    site_id: str | None = None
    known_s: float
    outage_s: float
    excluded_s: float
    availability: float | None
    meets_target: bool | None


class AvailabilityRange(Shown):
    """The availability of connectors, and of all of them together. `target`: what NEVI requires."""

    from_at: At
    until_at: At
    target: float
    availability: float | None
    connectors: list[ConnectorAvailability]


class NewPlannedOutage(Body):
    """A planned outage, which availability excludes. `connector_id` "": the whole charge point."""

    cp_id: CpId
    connector_id: Annotated[str, Field(max_length=20)] = ""
    from_at: At
    until_at: At
    reason: Text = ""


class PlannedOutage(Shown):
    """A planned outage."""

    id: int
    cp_id: str
    connector_id: str
    from_at: At | None
    until_at: At | None
    reason: str
    created_by: str


Kind = Literal["connection", "status", "command", "session"]


def interval(found: Found) -> Interval:
    """Return the JSON of an interval."""
    return Interval.model_validate(
        {
            "from_at": datetime_of(found.from_ts),
            "until_at": datetime_of(found.until_ts),
            "state": found.state,
            "detail": found.detail,
        }
    )


def mark(change: StateChange) -> Mark:
    """Return the JSON of a command."""
    return Mark.model_validate({"at": datetime_of(change.at_ts), "action": change.state, "result": change.detail})


def availability(cp_id: str, connector_id: str, counted: Counted, site_id: str | None) -> ConnectorAvailability:
    """Return the JSON of a connector's availability."""
    share = counted.share
    return ConnectorAvailability(
        cp_id=cp_id,
        connector_id=connector_id,
        site_id=site_id,
        known_s=round(counted.known_s, 3),
        outage_s=round(counted.outage_s, 3),
        excluded_s=round(counted.excluded_s, 3),
        availability=share,
        meets_target=None if share is None else share > NEVI_TARGET,
    )


def planned_outage(stored: StoredOutage) -> PlannedOutage:
    """Return the JSON of a planned outage."""
    return PlannedOutage(
        id=stored.id,
        cp_id=stored.cp_id,
        connector_id=stored.connector_id,
        from_at=datetime_of(stored.from_ts),
        until_at=datetime_of(stored.until_ts),
        reason=stored.reason,
        created_by=stored.created_by,
    )
