-- Once, by an administrator: a schema for the plan's functions, and the kinds of work.
-- psql "$STAGEBUS_DATABASE_URL" -v producer=ROLE -f setup.sql (without -v: for yourself)

\if :{?producer}
\else
    \set producer :USER
\endif

create schema gauges authorization :"producer";

select stagebus.set_task_type('list_stations', timeout => '1 minute');
select stagebus.set_task_type('read_level', batch_size => 100, timeout => '1 minute');
select stagebus.set_task_type('forecast_rain', timeout => '5 minutes');
select stagebus.set_task_type('write_report', timeout => '1 minute');
