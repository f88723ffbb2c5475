drop schema if exists stagebus cascade;

drop table if exists stagebus_data.sends;

drop table if exists stagebus_data.job_messages;

drop table if exists stagebus_data.batch_members;

drop table if exists stagebus_data.batches;

drop domain if exists stagebus_data.batch_kind;

drop domain if exists stagebus_data.batch_state;
