drop schema if exists stagebus cascade;
drop table if exists stagebus_data.archived_jobs;
drop table if exists stagebus_data.removals;
drop table if exists stagebus_data.retention;
