"""Every object x every verb x every role, as the catalog has them: what is not granted is refused.

Who may call which function is `MAY_EXECUTE` of test_matrix; all else follows from five rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from tests.client import Client
from tests.conftest import CALLER
from tests.roles.test_matrix import MAY_EXECUTE, MAY_READ_VIEWS, ROLES

OWNER, NOBODY, NONE = "stagebus_owner", "stagebus_nobody", CALLER

#: The objects of both schemas: kind, name, and oid for the functions that tell about rights.
OBJECTS = """
select case when c.relkind = 'S' then 'sequence' when c.relkind = 'v' then 'view' else 'table' end
        as kind,
    n.nspname as schema, c.relname::text as name, c.oid
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspname in ('stagebus', 'stagebus_data') and c.relkind not in ('i', 'I', 'c')
union all
select 'function', n.nspname, p.proname, p.oid
from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
where n.nspname in ('stagebus', 'stagebus_data')
union all
select 'schema', n.nspname, n.nspname, n.oid
from pg_namespace as n where n.nspname in ('stagebus', 'stagebus_data')
union all
-- Not the types of rows and of arrays, which follow their own.
select 'type', n.nspname, t.typname, t.oid
from pg_type as t join pg_namespace as n on n.oid = t.typnamespace
left join pg_class as c on c.oid = t.typrelid
where n.nspname in ('stagebus', 'stagebus_data') and t.typelem = 0
    and coalesce(c.relkind, 'c') = 'c'
"""

RELATION_VERBS = ["select", "insert", "update", "delete", "truncate", "references", "trigger"]
VERBS = {
    "table": RELATION_VERBS,
    "view": RELATION_VERBS,
    "sequence": ["usage", "select", "update"],
    "function": ["execute"],
    "schema": ["usage", "create"],
    "type": ["usage"],
}
#: What can be granted of single columns.
COLUMN_VERBS = ["select", "insert", "update", "references"]


@pytest.fixture
def everyone(client: Client, caller: Client) -> list[str]:
    """The roles of ours, and one that has been granted nothing."""
    client.execute(f"revoke stagebus_producer from {NONE}")
    return [*(f"stagebus_{role}" for role in ROLES), OWNER, NOBODY, NONE]


def expected(kind: str, schema: str, name: str, verb: str, role: str) -> bool:
    if role == OWNER:
        return True
    if name == "call_plan_function":
        return role == NOBODY
    audience = role.removeprefix("stagebus_")
    if kind == "function":
        return audience in MAY_EXECUTE.get(name, set())
    if kind == "view":
        return verb == "select" and audience in MAY_READ_VIEWS
    return (kind, schema, verb) == ("schema", "stagebus", "usage") and audience in ROLES


def cells(client: Client, roles: list[str]) -> Iterator[tuple[str, str, str, str, str, bool]]:
    """Each object, verb and role, and whether the role may."""
    newer = ["maintain"] if client.connection.info.server_version >= 170000 else []
    for kind, verbs in VERBS.items():
        asks = "table" if kind == "view" else kind
        more = newer if asks == "table" else []
        yield from client.rows(
            f"select o.kind, o.schema, o.name, v.verb, r.role,"
            f" has_{asks}_privilege(r.role, o.oid, v.verb)"
            f" from ({OBJECTS}) as o cross join unnest(%s::text[]) as v (verb)"
            " cross join unnest(%s::text[]) as r (role) where o.kind = %s",
            [*verbs, *more],
            roles,
            kind,
        )


def test_no_cell_of_the_matrix_is_another_than_the_rules_say(
    client: Client, everyone: list[str]
) -> None:
    # A partition that was made since, by a call of a producer.
    client.advance(timedelta(days=21))
    client.create_job()
    wrong, asked = [], Counter[str]()
    for kind, schema, name, verb, role, allowed in cells(client, everyone):
        asked[kind] += 1
        if allowed != expected(kind, schema, name, verb, role):
            wrong.append((f"{kind} {schema}.{name}", verb, role, allowed))
    assert wrong == []
    assert set(asked) == set(VERBS), "there is something of each kind"
    assert sum(asked.values()) > 4000


def test_no_column_is_granted_beside_its_table(client: Client, everyone: list[str]) -> None:
    wrong = [
        (schema, name, verb, role)
        for kind, schema, name, verb, role, allowed in client.rows(
            "select o.kind, o.schema, o.name, v.verb, r.role,"
            " has_any_column_privilege(r.role, o.oid, v.verb)"
            f" from ({OBJECTS}) as o cross join unnest(%s::text[]) as v (verb)"
            " cross join unnest(%s::text[]) as r (role) where o.kind in ('table', 'view')",
            COLUMN_VERBS,
            everyone,
        )
        if allowed != expected(kind, schema, name, verb, role)
    ]
    assert wrong == []


def test_nothing_is_granted_with_the_right_to_grant_it_on(client: Client) -> None:
    granted = client.rows(
        "select o.kind, o.name, a.grantee::regrole from ("
        " select 'relation' as kind, relname::text as name, relacl as acl, relnamespace as schema"
        " from pg_class union all select 'function', proname, proacl, pronamespace from pg_proc"
        " union all select 'type', typname, typacl, typnamespace from pg_type"
        " union all select 'schema', nspname, nspacl, oid from pg_namespace"
        ") as o cross join lateral aclexplode(o.acl) as a"
        " where o.schema in ('stagebus'::regnamespace, 'stagebus_data'::regnamespace)"
        " and a.is_grantable and a.grantee <> 'stagebus_owner'::regrole"
    )
    assert granted == []


def test_the_clock_is_set_by_the_owner_alone(client: Client, everyone: list[str]) -> None:
    client.stop_clock()
    for role in everyone:
        session = client.session(role)
        if role == OWNER:
            session.execute("update stagebus_data.test_clock set at = 'epoch'")
            continue
        for statement in (
            "insert into stagebus_data.test_clock (at) values ('epoch')",
            "update stagebus_data.test_clock set at = 'epoch'",
            "delete from stagebus_data.test_clock",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement)
    assert str(client.now()).startswith("1970-01-01")
