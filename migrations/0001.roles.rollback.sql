drop schema if exists stagebus cascade;

drop schema if exists stagebus_data;

-- A role that another database still uses stays.
do $$
declare
    v_role text;
begin
    foreach v_role in array array[
        'stagebus_nobody', 'stagebus_monitor', 'stagebus_operator', 'stagebus_worker',
        'stagebus_bridge', 'stagebus_producer', 'stagebus_owner'
    ] loop
        begin
            execute format('drop role if exists %I', v_role);
        exception when dependent_objects_still_exist then
            raise notice 'role % is used by another database and stays', v_role;
        end;
    end loop;
end;
$$;
