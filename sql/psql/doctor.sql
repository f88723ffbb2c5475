-- What threatens the system as a whole, worst first, and what to type.
\set findings 'select d.severity, d.finding, d.fix from stagebus.doctor() as d'
\ir told.sql
