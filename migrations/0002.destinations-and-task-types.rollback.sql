drop schema if exists stagebus cascade;

drop table if exists stagebus_data.test_clock;

drop table if exists stagebus_data.installed_code;

drop table if exists stagebus_data.task_types;

drop table if exists stagebus_data.destinations;
