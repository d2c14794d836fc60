"""All SQL of the places that a network has added to the list."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select

from hub.leads.aliases import Alias
from hub.leads.tables import PLACE_ALIAS


def newest(connection: Connection) -> int:
    """A number that grows with every change; 0 while there are none."""
    return connection.scalar(select(func.max(PLACE_ALIAS.c.changed_no))) or 0


def everything(connection: Connection) -> dict[str, Alias]:
    """Every alias by its key, in the order of the keys."""
    rows = connection.execute(select(PLACE_ALIAS).order_by(PLACE_ALIAS.c.key))
    return {
        row.key: Alias(
            code=row.key,
            alias=row.alias,
            place=row.place,
            at=None if row.lat_udeg is None else (row.lat_udeg / 1e6, row.lon_udeg / 1e6),
            region=row.region,
        )
        for row in rows
    }


def put(connection: Connection, aliases: Sequence[Alias]) -> None:
    """Store these, in place of what was known by their keys."""
    number = newest(connection) + 1
    for alias in aliases:
        connection.execute(delete(PLACE_ALIAS).where(PLACE_ALIAS.c.key == alias.code))
        lat, lon = alias.at or (None, None)
        connection.execute(
            insert(PLACE_ALIAS).values(
                key=alias.code,
                alias=alias.alias,
                place=alias.place,
                lat_udeg=None if lat is None else round(lat * 1e6),
                lon_udeg=None if lon is None else round(lon * 1e6),
                region=alias.region,
                changed_no=number,
            )
        )
