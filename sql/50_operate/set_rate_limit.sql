-- How many tasks a second all bridges together may take to a destination.
create or replace function stagebus.set_rate_limit(
    p_destination text,
    p_per_second double precision
) returns void
language plpgsql
security definer
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_now timestamptz := stagebus.clock();
begin
    if coalesce(p_per_second not between 0.001 and 1e9, false) then
        perform stagebus.raise_error(
            'SB116', format('a rate limit of %s is not usable', p_per_second),
            'It is 0.001 to 1,000,000,000 tasks a second.',
            'Pass null for no limit; to stop a destination use pause_destination.');
    end if;
    update destinations as d set
        per_second = p_per_second,
        -- What was claimed at the old rate is not counted any more: it may be a day's work.
        paid_until = case when p_per_second is not null then v_now end
    where d.destination = p_destination;
    if not found then
        perform stagebus.raise_error(
            'SB125', format('destination %s does not exist',
                coalesce(quote_literal(p_destination), 'null')),
            'Only what exists can be limited.', 'Look it up in the view destination_status.');
    end if;
    notify stagebus_ready;
end;
$$;
comment on function stagebus.set_rate_limit(text, double precision) is
    'Limits what all bridges together claim of a destination to so many tasks a second; null: no '
    'limit, as at first. It counts from now on. Batches are claimed whole: one of more tasks than '
    'a second has goes out at once, and nothing follows until its time is over; after a pause a '
    'second''s tasks go out at once. Locks the destination; notifies stagebus_ready. '
    'Raises SB116, SB125.';
