"""Why a role of stagebus stays when stagebus goes, and what to type so that it can go too.

Roles belong to the cluster: other databases, and what was granted by hand, may still need them.
"""

from __future__ import annotations

from typing import Any

import psycopg

from bridge.rights import OWNER

# What depends on the role, without what goes with our schemas: a text for what is in this database
# or belongs to all, the database's name for the rest.
_USE = """
select distinct
    case when d.dbid in (0, here.oid)
        then pg_describe_object(d.classid, d.objid, d.objsubid) end,
    other.datname::text
from pg_shdepend as d
join pg_database as here on here.datname = current_database()
left join pg_database as other on other.oid = d.dbid and other.oid <> here.oid
left join pg_namespace as n
    on n.oid = case d.classid
        when 'pg_namespace'::regclass then d.objid
        when 'pg_class'::regclass
            then (select c.relnamespace from pg_class as c where c.oid = d.objid)
        when 'pg_proc'::regclass
            then (select p.pronamespace from pg_proc as p where p.oid = d.objid)
        when 'pg_type'::regclass
            then (select t.typnamespace from pg_type as t where t.oid = d.objid)
    end
    and d.dbid = here.oid
where d.refclassid = 'pg_authid'::regclass and d.refobjid = to_regrole(%s)
    and (n.nspname is null or n.nspname not in ('stagebus', 'stagebus_data'))
order by 1, 2
"""

# Who made the role, or may grant it, does not use it; whoever migrates is a member of the owner,
# which is itself a member of nobody.
_MEMBERS = """
select m.member::regrole::text
from pg_auth_members as m
where m.roleid = to_regrole(%s) and not m.admin_option
    and m.member <> current_user::regrole
    and (m.roleid, m.member) is distinct from
        (to_regrole('stagebus_nobody')::oid, to_regrole('stagebus_owner')::oid)
order by 1
"""

_MAY_DROP = """
select rolsuper or rolcreaterole and (
    current_setting('server_version_num')::integer < 160000
    or pg_has_role(%s, 'MEMBER WITH ADMIN OPTION'))
from pg_roles where rolname = current_user
"""


def why_it_stays(connection: psycopg.Connection[Any], role: str) -> str | None:
    """The reason and the way out; None when the role can be dropped with our schemas."""
    uses = connection.execute(_USE, (role,)).fetchall()
    elsewhere = sorted({str(row[1]) for row in uses if row[1] is not None})
    here = [str(row[0]) for row in uses if row[1] is None]
    members = (
        [str(row[0]) for row in connection.execute(_MEMBERS, (role,)).fetchall()]
        if role != OWNER
        else []
    )
    if elsewhere:
        return f"used in database {', '.join(elsewhere)}: run uninstall there"
    if here:
        return (
            f"it owns, or has rights on, {', '.join(here)}:"
            f" reassign owned by {role} to current_user; drop owned by {role}; drop role {role};"
        )
    if members:
        listed = ", ".join(members)
        return f"granted to {listed}: revoke {role} from {listed}; drop role {role};"
    row = connection.execute(_MAY_DROP, (role,)).fetchone()
    if row is None or not row[0]:
        return f"you may not drop it; who may: drop role {role};"
    return None
