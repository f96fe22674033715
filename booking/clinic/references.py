"""What the parts of the clinic's file may refer to by slug, and the notes about what they may not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from booking.clinic.parts import Location, Resource, Service
from booking.clinic.table import Table, near

Part = TypeVar("Part", Location, Service)


@dataclass(frozen=True, slots=True)
class Known:
    """The locations, services and resources that the file has."""

    locations: Sequence[Location]
    services: Sequence[Service]
    resources: Sequence[Resource] = ()

    def location(self, table: Table) -> str:
        """The location a table names; where there is but one, it may be left out."""
        if len(self.locations) == 1 and not table.has("location"):
            return self.locations[0].slug
        slug = table.slug("location")
        if slug and slug not in (known := [location.slug for location in self.locations]):
            table.note("location", f"there is no location {slug}{near(slug, known)}")
        return slug

    def some_locations(self, table: Table) -> list[Location]:
        """The locations a table lists; all of them when it lists none."""
        if not table.has("locations"):
            return list(self.locations)
        return [location for _, location in _listed(table, "locations", self.locations)]

    def some_services(self, table: Table) -> list[tuple[int, Service]]:
        """The services a table lists, each with its number in the list."""
        return _listed(table, "services", self.services)

    def kinds(self, location: str = "") -> set[str]:
        """The kinds of resources that there are at a location, or anywhere."""
        return {each.kind for each in self.resources if location in {"", each.location}}


def _listed(table: Table, key: str, parts: Sequence[Part]) -> list[tuple[int, Part]]:
    by_slug = {part.slug: part for part in parts}
    found = []
    for at, slug in table.entries(key):
        if slug in by_slug:
            found.append((at, by_slug[slug]))
        elif slug:
            table.note((key, at), f"there is no {key.removesuffix('s')} {slug}{near(slug, by_slug)}")
    return found
