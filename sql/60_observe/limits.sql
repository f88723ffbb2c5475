create or replace view stagebus.limits as
select l.what, nullif(l.role, 'public') as role, l.value, l.set_by, l.set_at
from stagebus_data.limits as l;
comment on view stagebus.limits is
    'What set_limit set; role null: for all roles that have no limit of this name of their own.';
