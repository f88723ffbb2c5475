drop schema if exists stagebus cascade;

drop table if exists stagebus_data.job_advances;

drop table if exists stagebus_data.due_advances;

drop table if exists stagebus_data.counter_groups;

drop table if exists stagebus_data.counter_slots;

drop table if exists stagebus_data.task_keys;

drop table if exists stagebus_data.tasks;

drop table if exists stagebus_data.stages;

drop table if exists stagebus_data.job_dedupe_keys;

drop table if exists stagebus_data.jobs;

drop table if exists stagebus_data.plan_stages;

drop table if exists stagebus_data.plans;

drop domain if exists stagebus_data.attempt;

drop domain if exists stagebus_data.task_state;

drop domain if exists stagebus_data.nonce;

drop domain if exists stagebus_data.ending;

drop domain if exists stagebus_data.stage_state;

drop domain if exists stagebus_data.job_state;
