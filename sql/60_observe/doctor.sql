-- What threatens the system as a whole, and what to type. As the caller: what PostgreSQL shows of
-- other sessions depends on who asks (a member of pg_read_all_stats sees all).
create or replace function stagebus.doctor(code_digest text default null)
returns table (severity text, finding text, fix text)
language sql
stable
security invoker
set search_path = stagebus_data, stagebus, pg_temp
as $$
    with found as materialized (
        select f.severity, f.finding, f.fix from stagebus.findings_of_server() as f
        union all
        select f.severity, f.finding, f.fix from stagebus.findings_of_work(doctor.code_digest) as f
        union all
        select f.severity, f.finding, f.fix from stagebus.findings_of_settings() as f
    )
    select f.severity, f.finding, f.fix
    from (
        select * from found
        union all
        select 'ok', 'nothing was found that threatens the system', '-- nothing to mend'
        where not exists (select from found)
    ) as f
    order by array_position(array['critical', 'warning', 'notice', 'ok'], f.severity), f.finding;
$$;
comment on function stagebus.doctor(text) is
    'A row for each thing that threatens the system, worst first: critical, warning or notice, '
    'what it is, and the statement that mends it; a comment where none can. One row, ok, where '
    'nothing does. code_digest: of the sql/ that should be installed. Reads no tasks.';
