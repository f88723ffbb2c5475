drop schema if exists stagebus cascade;

drop table if exists stagebus_data.dead_letters;
