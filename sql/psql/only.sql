-- Included by the others: with a variable :job they are about that job alone.
\if :{?job}
    \set only :job
\else
    \set only ''
\endif
