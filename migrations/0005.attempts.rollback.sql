drop schema if exists stagebus cascade;

drop table if exists stagebus_data.failed_tasks;

drop table if exists stagebus_data.waiting_retries;

drop table if exists stagebus_data.running_attempts;
