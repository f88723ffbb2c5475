-- Once, by an administrator: a schema for the plan's functions, and the kinds of work.
-- psql "$STAGEBUS_DATABASE_URL" -v producer=ROLE -f setup.sql (without -v: for yourself)

\if :{?producer}
\else
    \set producer :USER
\endif

create schema pyramid authorization :"producer";

select stagebus.set_task_type('render_tile', batch_size => 100, timeout => '5 minutes');
select stagebus.set_task_type('merge_tiles', batch_size => 100, timeout => '1 minute');
select stagebus.set_task_type('clean_up', timeout => '1 minute');
