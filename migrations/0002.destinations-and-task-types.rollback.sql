drop schema if exists stagebus cascade;

drop table if exists stagebus_data.test_clock;

drop table if exists stagebus_data.installed_code;

drop table if exists stagebus_data.task_types;

drop table if exists stagebus_data.destinations;

drop domain if exists stagebus_data.on_failure;

drop domain if exists stagebus_data.tolerated_failures;

drop domain if exists stagebus_data.parameters;

drop domain if exists stagebus_data.counter;
