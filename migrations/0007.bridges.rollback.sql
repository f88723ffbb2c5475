drop schema if exists stagebus cascade;

drop index if exists stagebus_data.failed_tasks_by_time;
drop index if exists stagebus_data.sends_not_accepted;
drop index if exists stagebus_data.batches_stopped;
drop table if exists stagebus_data.bridges;

alter table stagebus_data.batches
    drop column if exists unstarted;
