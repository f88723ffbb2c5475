"""What Supabase's splinter warns of, asked of this schema in queries of our own.

A rule finds nothing, or what is listed beside it with the reason. Of splinter's other rules:

- Row level security (policy_exists_rls_disabled, rls_enabled_no_policy, rls_disabled_in_public,
  multiple_permissive_policies, rls_policy_always_true, rls_references_user_metadata,
  auth_rls_initplan): no role but the owner reaches the tables, so there are no rows to choose
  among, and no policies; a test here says so.
- auth_users_exposed, auth_allow_anonymous_sign_ins, fkey_to_auth_unique, *_in_api, pg_graphql_*,
  public_bucket_*, insecure_queue_exposed_in_api, sensitive_columns_exposed: of what only Supabase
  has, or exposes by itself. What they are about here, who can reach what, is test_every_right.
- anon_ and authenticated_security_definer_function_executable: the same for functions: nothing is
  anybody's, and each role's functions are listed in test_matrix.
- unused_index, table_bloat, unused_replication_slot, extension_versions_outdated: of a server that
  has been running; doctor looks at it.
"""

from __future__ import annotations

from tests.client import Client
from tests.sql_style import INLINED, RUNS_A_CALLERS_QUERY

OURS = "in ('stagebus'::regnamespace, 'stagebus_data'::regnamespace)"

#: Foreign keys whose referenced rows are never deleted, so that nobody looks for what refers to
#: them: no function deletes a destination, a task type or a plan.
NEVER_DELETED = {
    ("batches", "destinations"),
    ("jobs", "plans"),
    ("plan_stages", "task_types"),
    ("stages", "destinations"),
    ("stages", "task_types"),
    ("task_types", "destinations"),
}
#: Those whose first column, the job, leads an index already, and finds few rows: one for each batch
#: of a job, and one job.
FOUND_BY_THE_JOB = {("batches", "stages")}


def test_function_search_path_mutable(client: Client) -> None:
    """Only what runs as its caller: the caller's query, and what is inlined into pinned ones."""
    mutable = client.rows(
        "select p.proname, p.prosecdef from pg_proc as p"
        f" where p.pronamespace {OURS}"
        " and not coalesce(array_to_string(p.proconfig, '|') ~ '(^|[|])search_path=', false)"
    )
    assert set(mutable) == {(name, False) for name in (RUNS_A_CALLERS_QUERY, *INLINED)}


def test_security_definer_view(client: Client) -> None:
    """All of ours are: their readers have no rights on the tables. None shows more to one reader
    than to another, so nothing is there for a function in a reader's `where` to be shown."""
    views = client.rows(
        "select c.relname, c.relowner::regrole::text,"
        " coalesce(array_to_string(c.reloptions, ',') ~* 'security_invoker=(true|on|1)', false)"
        f" from pg_class as c where c.relnamespace {OURS} and c.relkind in ('v', 'm')"
    )
    assert views
    assert {(owner, invoker) for _, owner, invoker in views} == {("stagebus_owner", False)}
    assert client.column(f"select relname from pg_class where relnamespace {OURS}"
                         " and relkind in ('m', 'f')") == []  # fmt: skip


def test_extension_in_public(client: Client) -> None:
    """Nothing but plpgsql is needed, so no extension comes with stagebus anywhere."""
    assert client.column("select extname from pg_extension where extname <> 'plpgsql'") == []
    assert client.column(
        "select o.objid::regclass from pg_depend as o where o.deptype = 'e'"
        " and o.classid = 'pg_class'::regclass and o.objid in"
        f" (select oid from pg_class where relnamespace {OURS})"
    ) == []  # fmt: skip


def test_unindexed_foreign_keys(client: Client) -> None:
    unindexed = client.rows(
        "select k.conrelid::regclass::text as table, k.confrelid::regclass::text as referenced"
        f" from pg_constraint as k join pg_class as c on c.oid = k.conrelid"
        f" where k.contype = 'f' and c.relnamespace {OURS} and k.conparentid = 0 and not exists ("
        "  select from pg_index as i where i.indrelid = k.conrelid and i.indisvalid"
        "  and i.indpred is null"
        "  and (i.indkey::smallint[])[0:cardinality(k.conkey) - 1] @> k.conkey)"
    )
    short = {tuple(name.removeprefix("stagebus_data.") for name in found) for found in unindexed}
    assert short == NEVER_DELETED | FOUND_BY_THE_JOB


def test_nothing_deletes_what_is_never_deleted(client: Client) -> None:
    bodies = client.column(f"select lower(prosrc) from pg_proc where pronamespace {OURS}")
    for referenced in {referenced for _, referenced in NEVER_DELETED}:
        assert not [body for body in bodies if f"delete from {referenced} " in body]


def test_no_primary_key(client: Client) -> None:
    assert client.column(
        "select c.relname from pg_class as c"
        f" where c.relnamespace {OURS} and c.relkind in ('r', 'p') and not exists"
        " (select from pg_index as i where i.indrelid = c.oid and i.indisprimary)"
    ) == []  # fmt: skip


def test_duplicate_index(client: Client) -> None:
    """No two of a table with the same columns, order, expressions and predicate, nor a plain one
    that is the beginning of another's columns."""
    indexes = client.rows(
        "select i.indrelid, i.indexrelid::regclass::text as name, i.indkey::text as columns,"
        " i.indclass::text as classes, i.indoption::text as options, i.indisunique as is_unique,"
        " coalesce(pg_get_expr(i.indexprs, i.indrelid), '') as expressions,"
        " coalesce(pg_get_expr(i.indpred, i.indrelid), '') as predicate"
        f" from pg_index as i join pg_class as c on c.oid = i.indrelid where c.relnamespace {OURS}"
    )
    twice = [
        (one.name, other.name)
        for one in indexes
        for other in indexes
        if one.name != other.name
        and (one.indrelid, one.expressions, one.predicate)
        == (other.indrelid, other.expressions, other.predicate)
        and f"{other.columns} ".startswith(f"{one.columns} ")
        and not one.is_unique
    ]
    assert twice == []


def test_invalid_index(client: Client) -> None:
    assert client.column(
        "select i.indexrelid::regclass from pg_index as i join pg_class as c on c.oid = i.indrelid"
        f" where c.relnamespace {OURS} and not (i.indisvalid and i.indisready)"
    ) == []  # fmt: skip


def test_autovacuum_disabled(client: Client) -> None:
    assert client.column(
        f"select relname from pg_class where relnamespace {OURS}"
        " and array_to_string(reloptions, ',') ~* 'autovacuum_enabled=(false|off|0)'"
    ) == []  # fmt: skip


def test_no_table_has_row_level_security_or_policies(client: Client) -> None:
    """Rights are of whole objects: who reads the matrix knows all of them."""
    assert client.column(
        f"select relname from pg_class where relnamespace {OURS} and relrowsecurity"
        " union all select p.polname from pg_policy as p join pg_class as c on c.oid = p.polrelid"
        f" where c.relnamespace {OURS}"
    ) == []  # fmt: skip


def test_unsupported_reg_types(client: Client) -> None:
    """Columns that name objects by their number would not survive pg_upgrade."""
    assert client.column(
        "select a.attname from pg_attribute as a join pg_class as c on c.oid = a.attrelid"
        f" where c.relnamespace {OURS} and c.relkind in ('r', 'p') and a.attnum > 0"
        " and a.atttypid in ('oid'::regtype, 'regclass'::regtype, 'regproc'::regtype,"
        " 'regprocedure'::regtype, 'regrole'::regtype, 'regtype'::regtype,"
        " 'regnamespace'::regtype)"
    ) == []  # fmt: skip
