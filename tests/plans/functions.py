"""Functions as a team writes them for its plans."""

from __future__ import annotations

from tests.client import Client

#: As a plan needs it; each test replaces one part.
ATTRIBUTES = "security definer set search_path = gis, pg_temp"


def create_function(
    session: Client,
    name: str,
    body: str,
    *,
    attributes: str = ATTRIBUTES,
    returns: str = "setof jsonb",
) -> str:
    """A function in plpgsql; returns its name as a plan names it."""
    session.execute(
        f"create or replace function {name}(p_job_id uuid, p_parameters jsonb) returns {returns}"
        f" language plpgsql {attributes} as $function$ begin {body} end; $function$"
    )
    return name


def returning(session: Client, query: str, name: str = "gis.tiles") -> str:
    """A function that returns the rows of a query, one jsonb column."""
    return create_function(session, name, f"return query {query};")
