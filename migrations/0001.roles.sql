-- The roles, one for each audience, and the schema of the tables. stagebus_nobody has no rights: it
-- owns the one function that calls what the plans of others name.
-- Roles belong to the cluster: another database of it may have made them already.
do $$
declare
    v_role text;
begin
    foreach v_role in array array[
        'stagebus_owner', 'stagebus_producer', 'stagebus_bridge',
        'stagebus_worker', 'stagebus_operator', 'stagebus_monitor', 'stagebus_nobody'
    ] loop
        if not exists (select from pg_roles where rolname = v_role) then
            begin
                execute format('create role %I nologin', v_role);
            exception when duplicate_object or unique_violation then
                raise notice 'role % was made by another session just now', v_role;
            end;
        end if;
    end loop;
    if not pg_has_role('stagebus_owner', 'stagebus_nobody', 'member') then
        grant stagebus_nobody to stagebus_owner;
    end if;
    -- Acting as the owner needs membership; a superuser has it already.
    if not (select r.rolsuper from pg_roles r where r.rolname = current_user) then
        begin
            execute format('grant stagebus_owner to %I', current_user);
        exception when insufficient_privilege then
            raise notice 'whoever made stagebus_owner must have granted it to %', current_user;
        end;
    end if;
end;
$$;

create schema if not exists stagebus_data authorization stagebus_owner;
