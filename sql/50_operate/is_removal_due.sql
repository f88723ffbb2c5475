-- Whether there is a step of retention to take, or it is time to look for one.
create or replace function stagebus.is_removal_due(p_at_once boolean) returns boolean
language sql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select exists (
        select
        from stagebus_data.retention as r
        where r.hidden_from < r.hidden_until
            or r.keep is not null and (p_at_once or r.next_look_at <= stagebus.clock()));
$$;
comment on function stagebus.is_removal_due(boolean) is
    'Whether drop_expired has something to do: a removal has begun, or weeks are kept for a time '
    'and (unless p_at_once) the hour since the last look is over.';
