-- Settings under which what was committed can be lost, or calls are refused.
create or replace function stagebus.findings_of_settings()
returns table (severity text, finding text, fix text)
language sql
stable
security invoker
set search_path = stagebus_data, stagebus, pg_temp
as $$
    select w.severity,
        format('%s is %s (%s): %s', s.name, s.setting, s.source, w.danger),
        case s.source
            when 'session' then format('reset %s;', s.name)
            when 'client' then format('set %s = %L;  -- and mend what the client connects with',
                s.name, w.wanted)
            when 'global' then format('alter role all reset %s;', s.name)
            when 'user' then format('alter role %I reset %s;', session_user, s.name)
            when 'database user' then format('alter role %I in database %I reset %s;',
                session_user, current_database(), s.name)
            when 'database' then
                format('alter database %I reset %s;', current_database(), s.name)
            when 'command line' then format('-- start the server without this option: %s', s.name)
            else format('alter system set %s = %L;  -- then: select pg_reload_conf();', s.name,
                w.wanted)
        end
    from (values
        ('fsync', 'on', 'critical', 'a crash of the machine may lose or damage everything'),
        ('full_page_writes', 'on', 'critical', 'a crash of the machine may damage tables'),
        ('synchronous_commit', 'on', 'warning',
            'a crash may undo what was just committed; bridges set it on for themselves'),
        ('autovacuum', 'on', 'critical', 'tables that are updated get slower and slower'),
        ('track_counts', 'on', 'critical', 'autovacuum does not see what there is to do'),
        ('default_transaction_isolation', 'read committed', 'warning',
            'functions that decide on rows are refused with SB115')
    ) as w (name, wanted, severity, danger)
    join pg_settings as s on s.name = w.name
    where case w.name
        -- local, remote_write and remote_apply survive a crash of this server.
        when 'synchronous_commit' then s.setting = 'off'
        else s.setting <> w.wanted end;
$$;
comment on function stagebus.findings_of_settings() is
    'The part of doctor about settings, as its caller''s session has them.';
