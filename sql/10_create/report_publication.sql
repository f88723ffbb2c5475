-- What every call about a publication returns: from the stage, or, once it is withdrawn, from the
-- order that is left of it.
create or replace function stagebus.report_publication(
    p_job_id uuid,
    p_stage integer,
    p_nonce text
) returns stagebus.publication_report
language plpgsql
stable
set search_path = stagebus_data, stagebus, pg_temp
as $$
declare
    v_stage  stagebus_data.stages;
    v_order  stagebus_data.orders;
    v_queued integer;
begin
    select s.* into v_stage
    from stages as s
    where s.job_id = p_job_id and s.stage = p_stage;
    if v_stage.confirm_by is not null and v_stage.ending is distinct from 'withdraw'
        and (p_nonce is null or v_stage.nonce = p_nonce)
    then
        if v_stage.state = 'provisional' then
            v_queued := stagebus.queued_batches(p_job_id, p_stage);
        end if;
        return row(
            p_job_id, p_stage, v_stage.nonce,
            case v_stage.state when 'provisional' then 'waiting' else 'confirmed' end,
            null, v_stage.task_count, v_stage.batch_count,
            coalesce(v_queued, v_stage.batch_count), v_stage.confirm_by, null
        )::stagebus.publication_report;
    end if;
    select o.* into v_order
    from orders as o
    where o.job_id = p_job_id and o.stage = p_stage and o.action = 'withdraw_stage'
        and (p_nonce is null or o.details ->> 'nonce' = p_nonce)
    order by o.order_id desc
    limit 1;
    if found then
        return row(
            p_job_id, p_stage, v_order.details ->> 'nonce', 'withdrawn', v_order.reason,
            v_order.tasks, v_order.details -> 'batches', v_order.details -> 'queued_batches',
            v_order.details ->> 'confirm_by', v_order.order_id)::stagebus.publication_report;
    end if;
    if v_stage.stage is null then
        perform stagebus.raise_error(
            'SB105', format('stage %s of job %s does not exist',
                coalesce(p_stage::text, 'null'), coalesce(p_job_id::text, 'null')),
            'No stage of this number was ever published and withdrawn, either.',
            'Fill it with create_stage_tasks(…, seal => false), then call publish_stage.');
    end if;
    perform stagebus.raise_error(
        'SB130', format('stage %s of job %s was not published by publish_stage',
            p_stage, p_job_id),
        case when v_stage.confirm_by is null
            then format('It is %s; what seal_stage seals is never provisional.', v_stage.state)
            else format('No publication of it has the nonce %s.', quote_literal(p_nonce)) end,
        'Call publish_stage for a filling stage, and pass the nonce that it returned.');
    return null;
end;
$$;
comment on function stagebus.report_publication(uuid, integer, text) is
    'The publication of the stage with that nonce, or its last one. Raises SB105, SB130.';
