-- What became of advancing a job.
create or replace function stagebus.report_advance(
    p_job_id uuid,
    p_status text,
    p_stages integer[],
    p_note text
) returns stagebus.advance_report
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
begin
    return (
        select row(
            j.job_id, p_status, j.state, cardinality(p_stages),
            (
                select coalesce(sum(s.task_count), 0)
                from stages as s
                where s.job_id = p_job_id and s.stage = any (p_stages)),
            coalesce(p_note, (
                select string_agg(
                    case when s.skipped then s.name || ': skipped'
                        else format(
                        '%s: %s tasks', concat_ws(' ', s.name, s.group_value), s.task_count)
                    end, ', ' order by s.stage)
                from (
                    select l.* from stages as l
                    where l.job_id = p_job_id and l.stage = any (p_stages)
                    order by l.stage
                    limit 20
                ) as s)))::stagebus.advance_report
        from jobs as j
        where j.job_id = p_job_id);
end;
$$;
comment on function stagebus.report_advance(uuid, text, integer[], text) is
    'The row that advance_job returns; the note names up to 20 of the stages.';
