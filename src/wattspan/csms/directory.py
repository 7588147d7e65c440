"""The names, sites and labels of the fleet in memory, to filter and search by, and for the label `site` of metrics.

It follows the database: changes of this server at once, those of other processes within seconds. It must not know HTTP.
"""

from collections.abc import Callable, Mapping, Sequence

from wattspan.domain.fleet import Fleet
from wattspan.store.queries import sites as site_queries
from wattspan.store.queries.sites import Place, Site
from wattspan.store.store import Store


class Directory:
    """The places of charge points, and the sites. For the event loop's thread."""

    def __init__(self, fleet: Fleet, store: Store) -> None:
        self._fleet = fleet
        self._store = store
        self._version = self._applied = -1
        self._places: dict[str, Place] = {}
        self.sites: Mapping[str, Site] = {}
        """The sites by their id, sorted."""
        self.on_changed: Callable[[Sequence[Place], bool], None] | None = None
        """Called with the new places of those charge points whose place changed, and whether any site changed."""

    def place(self, cp_id: str) -> Place:
        """Return the place of a charge point; an empty one if nothing is known."""
        return self._places.get(cp_id) or Place(cp_id=cp_id)

    async def refresh(self) -> None:
        """Read the places again if they changed. Raises StoreError."""
        version = await self._store.read(site_queries.version)
        if version == self._version:
            if self._applied != len(self._fleet.charge_points):
                self.apply_sites()
            return
        places = await self._store.read(site_queries.places)
        sites = {each.site_id: each for each in await self._store.read(site_queries.sites)}
        changed = [each for each in places if each != self.place(each.cp_id)]
        sites_changed = sites != self.sites
        is_first, self._version = self._version < 0, version
        self._places, self.sites = {each.cp_id: each for each in places}, sites
        self.apply_sites()
        if (changed or sites_changed) and not is_first and self.on_changed is not None:
            self.on_changed(changed, sites_changed)

    def apply_sites(self) -> None:
        """Set the site of each charge point of the fleet."""
        for cp in list(self._fleet.charge_points.values()):
            cp.site = self.place(cp.cp_id).site_id or ""
        self._applied = len(self._fleet.charge_points)
