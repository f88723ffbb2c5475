-- Included by stuck.sql and doctor.sql: what :findings returns (head, text, fix), in lines of less
-- than 100 characters. A statement is broken where SQL lets it be; a comment begins anew.
with finding as (
    -- Words that are longer than a line are cut first.
    select row_number() over () as place,
        regexp_replace(regexp_replace(f.head || ': ' || f.text, '[\s[:cntrl:]]+', ' ', 'g'),
            '(\S{80})(?=\S)', '\1 ', 'g') as text,
        case when f.fix like '--%' then '' else split_part(f.fix, ';  -- ', 1) end as statement,
        regexp_replace(case when f.fix like '--%' then substr(f.fix, 4)
            else substr(f.fix, nullif(strpos(f.fix, ';  -- '), 0) + 6) end, '(\S{80})(?=\S)',
            '\1 ', 'g') as comment
    from (:findings) as f (head, text, fix)
),
line as (
    select f.place, 1 as part,
        regexp_replace(f.text, '(.{1,94})(?:\s+|$)', E'\\1\n  ', 'g') as text
    from finding as f
    union all
    select f.place, 2, '    ' || regexp_replace(rtrim(f.statement, ';') || ';',
        case when length(f.statement) > 90 then ' (from|where|and) ' else '^$' end,
        E'\n        \\1 ', 'g')
    from finding as f
    where f.statement <> ''
    union all
    select f.place, 3, '    ' || regexp_replace(f.comment, '(.{1,88})(?:\s+|$)',
        E'-- \\1\n    ', 'g')
    from finding as f
    where f.comment is not null
    union all
    select 1, 1, 'nothing stands still'
    where not exists (select from finding)
)
select rtrim(l.text, E'\n ')
from line as l
order by l.place, l.part
\g (format=unaligned tuples_only=on)
