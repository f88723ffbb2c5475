-- The schema that people and programs see: functions and views only. All of sql/ is replayed in
-- one transaction, as the owner; bodies are checked when all of it is there.
create schema if not exists stagebus authorization stagebus_owner;
set local role stagebus_owner;
set local check_function_bodies = off;

revoke all on schema stagebus from public;
comment on schema stagebus is
    'stagebus: fan a stage out into tasks, publish them, follow and steer them';

do $$
begin
    create type stagebus.stage_summary as (
        job_id uuid,
        stage integer,
        tasks integer,
        batches integer,
        bytes bigint
    );
exception when duplicate_object then
    null;
end;
$$;
revoke all on type stagebus.stage_summary from public;
comment on type stagebus.stage_summary is
    'A stage in one row: its tasks, its batches, and the bytes of its message bodies (at most).';

do $$
begin
    create type stagebus.publication_report as (
        job_id uuid,
        stage integer,
        nonce text,
        status text,
        reason text,
        tasks integer,
        batches integer,
        queued_batches integer,
        confirm_by timestamptz,
        order_id bigint
    );
exception when duplicate_object then
    null;
end;
$$;
revoke all on type stagebus.publication_report from public;
comment on type stagebus.publication_report is
    'What became of a published stage: status is waiting, confirmed, or withdrawn, and then the '
    'reason and the order that says so. Its nonce tells it from others of the same number.';

do $$
begin
    create type stagebus.order_report as (
        order_id bigint,
        action text,
        status text,
        job_id uuid,
        stage integer,
        batch_id uuid,
        tasks integer,
        tasks_done integer,
        note text
    );
exception when duplicate_object then
    null;
end;
$$;
revoke all on type stagebus.order_report from public;
comment on type stagebus.order_report is
    'What an order does, or, as a dry run, would do: how many tasks, and how many so far.';

do $$
begin
    create type stagebus.advance_report as (
        job_id uuid,
        status text,
        job_status text,
        stages integer,
        tasks bigint,
        note text
    );
exception when duplicate_object then
    null;
end;
$$;
revoke all on type stagebus.advance_report from public;
revoke all on type stagebus.advance_report from public;
comment on type stagebus.advance_report is
    'What became of advancing a job: how many stages were made, with how many tasks.';
