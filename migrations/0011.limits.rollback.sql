drop schema if exists stagebus cascade;

drop index if exists stagebus_data.jobs_in_flight;
drop table if exists stagebus_data.limits;

alter table stagebus_data.stages
    drop column if exists largest_body;
