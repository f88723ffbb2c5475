drop schema if exists stagebus cascade;

drop index if exists stagebus_data.batches_by_turn;

alter table stagebus_data.destinations
    drop column if exists turn,
    drop column if exists turn_at,
    drop column if exists looked_from,
    drop column if exists per_second,
    drop column if exists paid_until;

alter table stagebus_data.batches
    drop column if exists turn;

alter table stagebus_data.jobs
    drop column if exists priority;
