create or replace view stagebus.plans as
select
    p.job_type, p.version,
    p.version = (
        select max(l.version) from stagebus_data.plans as l where l.job_type = p.job_type
    ) as latest,
    p.plan, p.owner, p.timeout, p.defined_by, p.defined_at
from stagebus_data.plans as p;
comment on view stagebus.plans is
    'The plans of job types, all versions. owner: whose rights their functions have; its members '
    'may define the next version.';
