"""What a hostile caller puts before ours and PostgreSQL's: functions, operators, types, tables.

Each of them says, when it is run, as whom: it raises `trapped as …`, or a cast sends a notice.
"""

from __future__ import annotations

from tests.client import Client

#: The types that our functions compare and compute with.
TYPES = (
    "text", "uuid", "jsonb", "integer", "bigint", "smallint", "boolean", "timestamptz", "interval",
    "name", "text[]", "uuid[]", "integer[]",
)  # fmt: skip

#: All overloads of what our bodies call, of our own functions, and all operators on TYPES; what a
#: role may not make (of `internal`, say) it need not.
FUNCTIONS_AND_OPERATORS = """
do $traps$
declare
    v_made record;
    v_body text := $$ begin raise exception 'trapped as %', current_user; end $$;
begin
    for v_made in
        select p.proname, oidvectortypes(p.proargtypes) as arguments,
            case when p.proretset then 'setof ' else '' end || p.prorettype::regtype as result
        from pg_proc as p
        where p.pronamespace = 'stagebus'::regnamespace
            or p.pronamespace = 'pg_catalog'::regnamespace and p.prokind <> 'p' and p.proname in (
                select (regexp_matches(o.prosrc, '([a-z_]+)\\s*\\(', 'g'))[1]
                from pg_proc as o where o.pronamespace = 'stagebus'::regnamespace)
    loop
        begin
            execute format('create function trap.%I(%s) returns %s language plpgsql as %L',
                v_made.proname, v_made.arguments, v_made.result, v_body);
        exception when others then
            null;
        end;
    end loop;
    for v_made in
        select o.oid, o.oprname, o.oprleft::regtype as l, o.oprright::regtype as r,
            o.oprresult::regtype as result
        from pg_operator as o
        where o.oprnamespace = 'pg_catalog'::regnamespace
            and o.oprleft::regtype = any (%(types)s::regtype[])
            and o.oprright::regtype = any (%(types)s::regtype[])
    loop
        execute format('create function trap.o%s(%s, %s) returns %s language plpgsql as %L',
            v_made.oid, v_made.l, v_made.r, v_made.result, v_body);
        execute format(
            'create operator trap.%s (leftarg = %s, rightarg = %s, procedure = trap.o%s)',
            v_made.oprname, v_made.l, v_made.r, v_made.oid);
    end loop;
end
$traps$
"""

#: Tables named as all of ours and as those of PostgreSQL that our bodies read; domains as types.
TABLES_AND_TYPES = """
do $traps$
declare
    v_name   text;
    v_schema text;
begin
    for v_name in
        select distinct c.relname
        from pg_class as c
        where c.relkind in ('r', 'p', 'v') and not c.relispartition and (
            c.relnamespace in ('stagebus'::regnamespace, 'stagebus_data'::regnamespace)
            or c.relname in ('pg_class', 'pg_proc', 'pg_roles', 'pg_settings', 'pg_cursors',
                'pg_depend', 'pg_inherits', 'pg_stat_activity', 'pg_prepared_statements'))
    loop
        execute format('create temporary table %I (trapped integer)', v_name);
        execute format('create table trap.%I (trapped integer)', v_name);
    end loop;
    foreach v_name in array array['text', 'uuid', 'jsonb', 'timestamptz', 'tid'] loop
        foreach v_schema in array array['trap', 'pg_temp'] loop
            execute format('create domain %s.%I as pg_catalog.%2$I check (trap.caught(value))',
                v_schema, v_name);
        end loop;
    end loop;
end
$traps$
"""


def set_traps(client: Client, session: Client, role: str) -> None:
    """Schema `trap`, owned by the session's role, and its pg_temp; the path begins with them."""
    client.execute(f"create schema trap authorization {role}")
    client.execute(f"grant usage on schema stagebus_data to {role}")
    session.execute(
        "create function trap.caught(anyelement) returns boolean language plpgsql as"
        " $$ begin raise exception 'trapped as %', current_user; end $$"
    )
    types = "array[" + ", ".join(f"'{each}'" for each in TYPES) + "]"
    session.execute(FUNCTIONS_AND_OPERATORS.replace("%(types)s", types))
    session.execute(TABLES_AND_TYPES)
    client.execute(f"revoke usage on schema stagebus_data from {role}")
    session.execute("set search_path = trap, pg_temp, pg_catalog, stagebus")


def set_casts(client: Client, session: Client, role: str) -> None:
    """A type of the role's own, `bait.mine`, that casts to what our functions take."""
    client.execute(f"create schema bait authorization {role}")
    session.execute("create type bait.mine as (value text)")
    for kind in ("text", "uuid", "jsonb", "integer", "bigint"):
        session.execute(
            f"create function bait.to_{kind}(p bait.mine) returns {kind} language plpgsql as"
            f" $$ begin raise notice 'cast as %', current_user; return p.value::{kind}; end $$"
        )
        session.execute(
            f"create cast (bait.mine as {kind}) with function bait.to_{kind}(bait.mine) as implicit"
        )
