"""The demonstration clinic as it may be tomorrow: with parts taken away, and nothing left that points at them."""

from dataclasses import replace
from typing import Any

from booking.clinic import Catalog


def without(catalog: Catalog, *slugs: str) -> Catalog:
    """The same without some services, practitioners, resources or locations."""
    return Catalog(
        locations=_others(catalog.locations, slugs),
        services=_others(catalog.services, slugs),
        practitioners=tuple(
            replace(
                each,
                offers=tuple(
                    offer for offer in each.offers if offer.service not in slugs and offer.location not in slugs
                ),
                hours=tuple(hours for hours in each.hours if hours.location not in slugs),
                extra_hours=tuple(hours for hours in each.extra_hours if hours.location not in slugs),
            )
            for each in _others(catalog.practitioners, slugs)
        ),
        resources=tuple(each for each in _others(catalog.resources, slugs) if each.location not in slugs),
        closures=tuple(each for each in catalog.closures if each.location not in slugs),
    )


def changed(catalog: Catalog, part: str, slug: str, **values: Any) -> Catalog:
    """The same with other values for one part: `changed(catalog, "services", "massage-therapy", daily_cap=3)`."""
    parts = tuple(replace(each, **values) if each.slug == slug else each for each in getattr(catalog, part))
    assert parts != getattr(catalog, part), f"nothing changes for {slug}"
    return replace(catalog, **{part: parts})


def _others(parts: tuple[Any, ...], slugs: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(each for each in parts if each.slug not in slugs)
