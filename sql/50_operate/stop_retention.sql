-- Nothing more is removed, as before anybody called set_retention.
create or replace function stagebus.stop_retention() returns void
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now timestamptz := stagebus.clock();
begin
    update retention as r set keep = null, set_by = session_user, set_at = v_now
    where r.only_row;
end;
$$;
comment on function stagebus.stop_retention() is
    'Keeps all jobs from now on. A week whose removal has begun is still removed.';
