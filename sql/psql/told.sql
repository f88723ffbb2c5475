-- Included by stuck.sql and doctor.sql: what :findings returns (head, text, fix), in lines of less
-- than 100 characters. A statement is broken where SQL lets it be, and never inside its quotes; a
-- comment begins anew. What a terminal would obey becomes `?`, as in `stagebus why`.
with finding as (
    -- Words that are longer than a line are cut first. A statement ends at the first `;  -- ` that
    -- is not inside quotes.
    select row_number() over () as place,
        regexp_replace(regexp_replace(regexp_replace(f.head || ': ' || f.text, '\s+', ' ', 'g'),
            c.controls, '?', 'g'), '(\S{80})(?=\S)', '\1 ', 'g') as text,
        v.fix, case when v.fix like '--%' then ''
            else coalesce(substring(v.fix from '^((?:[^''"]|''[^'']*''|"[^"]*")*?;)  -- '), v.fix)
            end as statement
    from (:findings) as f (head, text, fix)
    cross join (values ('[\u0001-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]')) as c (controls)
    cross join lateral regexp_replace(f.fix, c.controls, '?', 'g') as v (fix)
),
remark as (
    select f.place, regexp_replace(regexp_replace(substr(f.fix, length(f.statement) + 1),
        '^\s*-- ', ''), '(\S{80})(?=\S)', '\1 ', 'g') as text
    from finding as f
    where f.fix <> f.statement
),
line as (
    select f.place, 1 as part,
        regexp_replace(f.text, '(.{1,94})(?:\s+|$)', E'\\1\n  ', 'g') as text
    from finding as f
    union all
    select f.place, 2, '    ' || string_agg(
        case when length(f.statement) <= 90 or p.text[1] ~ '^[''"]' then p.text[1]
            else regexp_replace(p.text[1], ' (from|where|and) ', E'\n        \\1 ', 'g') end,
        '' order by p.place)
    from finding as f
    cross join lateral regexp_matches(f.statement, '[^''"]+|''[^'']*''|"[^"]*"|.', 'g')
        with ordinality as p (text, place)
    group by f.place
    union all
    select r.place, 3, '    ' || regexp_replace(r.text, '(.{1,88})(?:\s+|$)',
        E'-- \\1\n    ', 'g')
    from remark as r
    union all
    select 1, 1, 'nothing stands still'
    where not exists (select from finding)
)
select rtrim(l.text, E'\n ')
from line as l
order by l.place, l.part
\g (format=unaligned tuples_only=on)
