-- What a worker brings home is refused whole, before anything is done, when one of the results is
-- too large. Its text is measured, not its stored size: 1e100000 is small until it is written out.
create or replace function stagebus.check_results(
    p_task_ids text[],
    p_results jsonb[]
) returns void
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_large record;
begin
    select r.task_id, octet_length(r.result::text) as bytes into v_large
    from unnest(p_task_ids, p_results) with ordinality as r (task_id, result, ordinal)
    where octet_length(r.result::text) > stagebus.result_limit()
    order by r.ordinal
    limit 1;
    if found then
        perform stagebus.raise_error(
            'SB117', format('the result of task %s is too large', v_large.task_id),
            format('It has %s bytes as text; a result has at most %s.',
                v_large.bytes, stagebus.result_limit()),
            'Store it elsewhere (a table, a blob) and complete the task with its address.');
    end if;
    perform stagebus.check_nesting(p_results, 'the result of task %s', names => p_task_ids);
end;
$$;
comment on function stagebus.check_results(text[], jsonb[]) is
    'Raises SB117 for the first result that is larger than result_limit, SB118 for the first that '
    'nests too deep.';
