"""The filter of charge points that lists, sums, series, exports and bulk commands share."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Annotated

from fastapi import Depends, Query

from wattspan.api.fleet_sums import STALE_S, FleetSums, is_stale
from wattspan.api.services import Services
from wattspan.domain import status as status_words
from wattspan.domain.model import ChargePoint, Connector
from wattspan.store.queries.fleet import StoredFilter
from wattspan.store.queries.fleet_sums import StoredSum
from wattspan.store.queries.sites import Place

SLICE = 500
"""Charge points searched between two pauses for messages."""
NO_SITE = "-"
"""The value of the filter `site_id` for charge points without a site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFilter:
    """Conditions on charge points, all of which must hold; None and () match all.

    `labels` are "name" or "name:value". `search` is a part of identity, name, location, a label, vendor, model or
    firmware, ignoring case.
    """

    search: str = ""
    connected: bool | None = None
    charging: bool | None = None
    status: str | None = None
    worst: str | None = None
    stale: bool | None = None
    site_id: Sequence[str] = ()
    label: Sequence[str] = ()
    vendor: str | None = None
    model: str | None = None
    firmware: str | None = None
    protocol: str | None = None
    cp_id: Sequence[str] = ()

    async def find(self, services: Services) -> list[ChargePoint]:
        """Return the charge points of the fleet that match, in no particular order, with pauses for messages.

        Raises StoreError in a cluster, whose other nodes' charge points are read from the store.
        """
        return [cp async for cp in self.each(services)]

    async def each(self, services: Services) -> AsyncIterator[ChargePoint]:
        """Yield what `find` returns, a cluster's other nodes' charge points as they are read. Raises as `find`."""
        own = set()
        async for cp in self._own(services):
            own.add(cp.cp_id)
            yield cp
        async for cp in self._of_other_nodes(services, ""):
            if cp.cp_id not in own:  # it came here meanwhile
                yield cp

    async def first(self, services: Services, after: str, limit: int) -> list[ChargePoint]:
        """Return the first `limit` charge points that match, by identity, of those after `after`. Raises as `find`."""
        found = {cp.cp_id: cp for cp in await self._find_own(services) if cp.cp_id > after}
        others = 0
        async for cp in self._of_other_nodes(services, after):
            found[cp.cp_id] = cp
            others += 1
            if others == limit:
                break
        return nsmallest(limit, found.values(), key=lambda cp: cp.cp_id)

    async def sum(self, services: Services) -> FleetSums:
        """Return the sums over the charge points that match. Raises as `find`."""
        sums = FleetSums()
        await self._sum(services, lambda _site_id: sums, by_site=False)
        return sums

    async def sum_by_site(self, services: Services) -> Mapping[str, FleetSums]:
        """Return the sums over the charge points that match, of each site that has any. Raises as `find`."""
        by_site: defaultdict[str, FleetSums] = defaultdict(FleetSums)
        await self._sum(services, by_site.__getitem__, by_site=True)
        return by_site

    async def _sum(self, services: Services, sums_of: Callable[[str], FleetSums], *, by_site: bool) -> None:
        """Add all that match to the sums of their site; "": they have none.

        The database sums up other nodes' charge points, except for a search and labels, which are matched one by one.
        One that changes its node meanwhile may count twice or not at all.
        """
        now_ts, place = services.now_ts(), services.directory.place
        async for cp in self._own(services):
            sums_of(cp.site).add(cp, now_ts)
        if self.search or self.label:
            async for cp in self._of_other_nodes(services, ""):
                sums_of(place(cp.cp_id).site_id or "").add(cp, now_ts)
            return
        for each in await services.view.sums_of_other_nodes(self._stored(), now_ts - STALE_S, by_site=by_site):
            if self._matches_sum(each):
                sums_of(each.site_id).add_stored(each)

    def _matches_sum(self, stored: StoredSum) -> bool:
        return (
            self.connected in (None, stored.connected)
            and self.stale in (None, stored.stale)
            and (self.worst is None or status_words.worst(_known(each for each, _ in stored.connectors)) == self.worst)
        )

    async def _of_other_nodes(self, services: Services, after: str) -> AsyncIterator[ChargePoint]:
        now_ts, wanted = services.now_ts(), self.search.casefold()
        async for cp in services.view.of_other_nodes(self._stored(after)):
            if self._matches(cp, services.directory.place(cp.cp_id), now_ts, wanted):
                yield cp

    def _stored(self, after: str = "") -> StoredFilter:
        """Return the conditions that the store can judge."""
        return StoredFilter(
            after=after,
            charging=self.charging,
            status=self.status,
            search=self.search,
            vendor=self.vendor,
            model=self.model,
            firmware=self.firmware,
            protocol=self.protocol,
            site_id=tuple(each for each in self.site_id if each != NO_SITE),
            or_no_site=NO_SITE in self.site_id,
            cp_id=self.cp_id,
        )

    async def _find_own(self, services: Services) -> list[ChargePoint]:
        return [cp async for cp in self._own(services)]

    async def _own(self, services: Services) -> AsyncIterator[ChargePoint]:
        """Yield this node's charge points that match, with pauses for messages."""
        now_ts, wanted, is_any = services.now_ts(), self.search.casefold(), self == FleetFilter()
        for index, cp in enumerate(list(services.fleet.charge_points.values())):
            if is_any or self._matches(cp, services.directory.place(cp.cp_id), now_ts, wanted):
                yield cp
            if index % SLICE == SLICE - 1:
                await asyncio.sleep(0)  # messages would wait for some 4 µs a charge point

    def _matches(self, cp: ChargePoint, place: Place, now_ts: float, wanted: str) -> bool:
        return (
            (not self.cp_id or cp.cp_id in self.cp_id)
            and self.connected in (None, cp.connected)
            and self.charging in (None, bool(cp.transactions))
            and (self.status is None or any(each.status == self.status for each in cp.connectors.values()))
            and self.vendor in (None, cp.vendor)
            and self.model in (None, cp.model)
            and self.firmware in (None, cp.firmware)
            and self.protocol in (None, cp.protocol)
            and (not self.site_id or (place.site_id or NO_SITE) in self.site_id)
            and all(_has_label(place.labels, each) for each in self.label)
            and (self.worst is None or worst_status(cp) == self.worst)
            and self.stale in (None, is_stale(cp, now_ts))
            and (not wanted or _is_found(cp, place, wanted))
        )


def _is_found(cp: ChargePoint, place: Place, wanted: str) -> bool:
    words = (cp.cp_id, cp.vendor, cp.model, cp.firmware, place.name, place.location, place.site_id or "")
    return any(wanted in word.casefold() for word in words) or any(
        wanted in f"{name}:{value}".casefold() for name, value in place.labels.items()
    )


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    name, separator, value = wanted.partition(":")
    return labels.get(name) == value if separator else name in labels


def real_connectors(cp: ChargePoint) -> list[Connector]:
    """Return the connectors without number 0, which is the charge point as a whole unless it had a transaction."""
    return [each for each in cp.connectors.values() if each.connector_id != "0" or each.had_transaction]


def status_counts(cp: ChargePoint) -> dict[str, int]:
    """Return how many connectors have each status."""
    return dict(Counter(each.status for each in real_connectors(cp) if each.status is not None))


def worst_status(cp: ChargePoint) -> str | None:
    """Return the worst status of the connectors and of the charge point as a whole, or None if none is known.

    That the charge point as a whole is Available does not count: its connectors are what cars use.
    """
    # Available is the last in rank, so that it counts only if there is nothing else.
    return status_words.worst(_known(each.status for each in cp.connectors.values()))


def _known(statuses: Iterable[str | None]) -> Iterator[str]:
    return (each for each in statuses if each is not None)


async def _fleet_filter(  # noqa: PLR0913, PLR0917  one argument a parameter of the query
    search: Annotated[
        str, Query(max_length=100, description="A part of identity, name, location, label, vendor, model or firmware.")
    ] = "",
    connected: Annotated[bool | None, Query(description="Has an open connection.")] = None,
    charging: Annotated[bool | None, Query(description="Has an open transaction.")] = None,
    status: Annotated[str | None, Query(max_length=50, description="The OCPP status of any connector.")] = None,
    worst: Annotated[str | None, Query(max_length=50, description="The worst status of its connectors.")] = None,
    stale: Annotated[bool | None, Query(description="Connected, but without a message for an hour.")] = None,
    site_id: Annotated[
        list[str] | None, Query(max_length=100, description="Of one of these sites; `-`: without a site.")
    ] = None,
    label: Annotated[
        list[str] | None, Query(max_length=20, description="Has this label, as `name` or `name:value`.")
    ] = None,
    vendor: Annotated[str | None, Query(max_length=100, description="As it reported itself.")] = None,
    model: Annotated[str | None, Query(max_length=100, description="As it reported itself.")] = None,
    firmware: Annotated[str | None, Query(max_length=100, description="Its firmware version.")] = None,
    protocol: Annotated[str | None, Query(max_length=20, description="As ocpp1.6, ocpp2.0.1 or ocpp2.1.")] = None,
    cp_id: Annotated[list[str] | None, Query(max_length=500, description="One of these identities.")] = None,
) -> FleetFilter:
    return FleetFilter(
        search=search,
        connected=connected,
        charging=charging,
        status=status,
        worst=worst,
        stale=stale,
        site_id=tuple(site_id or ()),
        label=tuple(label or ()),
        vendor=vendor,
        model=model,
        firmware=firmware,
        protocol=protocol,
        cp_id=tuple(cp_id or ()),
    )


Filter = Annotated[FleetFilter, Depends(_fleet_filter)]
"""The type of a route's `fleet` parameter: the filter of its query."""
