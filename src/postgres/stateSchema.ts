/** The tables of keyed state. A migration that was released is never changed. */
export const stateSchema = `
alter table millrace.progress add column watermarks text;
comment on column millrace.progress.watermarks is
  'How far event time has come, in milliseconds since the epoch: of the input under "", of steps with a time of their own under their names.';

create table millrace.state_steps (
  id integer generated always as identity primary key,
  app text not null,
  stream text not null,
  step text not null,
  shape text not null,
  encoding integer not null,
  noted_at timestamptz not null default clock_timestamp(),
  unique (app, stream, step)
);

comment on table millrace.state_steps is 'Steps that keep state, and what it is made of.';

create table millrace.state (
  step integer not null,
  partition integer not null,
  key text collate "C" not null,
  at bigint not null,
  value text not null,
  due bigint,
  version bigint not null,
  primary key (step, partition, key, at)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);

create index state_due on millrace.state (step, partition, due, key) where due is not null;

comment on table millrace.state is
  'Keyed state, in cells. Readable in millrace.state_values. Who changes a value by hand adds 1 to its version.';
comment on column millrace.state.key is 'A text as it is; of other keys U+0001, n, i or b, and the number, bigint or boolean.';
comment on column millrace.state.at is 'Where a cell stands in event time, in milliseconds since the epoch: a window at its start; 0 where a key has one value.';
comment on column millrace.state.value is 'JSON, with tags as {"$date":"…"} for what JSON has no words for.';
comment on column millrace.state.due is 'Event time from which on it is worked off, in milliseconds since the epoch.';

create view millrace.state_values as
  select s.app, s.stream, s.step, c.partition,
    case when left(c.key, 1) = U&'\\0001' then substr(c.key, 3) else c.key end as key,
    case when c.at <> 0 then to_timestamp(c.at / 1000.0) end as at,
    c.value::json as value,
    case when c.due is not null then to_timestamp(c.due / 1000.0) end as due
  from millrace.state c join millrace.state_steps s on s.id = c.step;

comment on view millrace.state_values is 'Keyed state as JSON.';

-- A table that grows fast has no statistics yet, and the planner then reads all of it for each key. Here it has to go by the
-- index: offset 0 keeps a subquery from being turned into a join.
create function millrace.write_state(
  the_step integer, the_partition integer, keys text[], ats bigint[], new_values text[], dues bigint[], versions bigint[]
) returns bigint
language plpgsql set enable_seqscan = off set enable_bitmapscan = off
as $write$
declare
  gone bigint := 0;
  kept bigint;
begin
  if array_position(new_values, null) is not null then
    delete from millrace.state where ctid = any (array(
      select s.ctid from unnest(keys, ats, new_values, versions) as g (key, at, value, version)
      cross join lateral (
        select c.ctid, c.version from millrace.state c
        where c.step = the_step and c.partition = the_partition and c.key = g.key and c.at = g.at offset 0
      ) s
      where g.value is null and s.version = g.version
    ));
    get diagnostics gone = row_count;
  end if;
  with put as (
    insert into millrace.state as s (step, partition, key, at, value, due, version)
      select the_step, the_partition, g.key, g.at, g.value, g.due, g.version + 1
      from unnest(keys, ats, new_values, dues, versions) as g (key, at, value, due, version)
      where g.value is not null
      on conflict (step, partition, key, at) do update
        set value = excluded.value, due = excluded.due, version = excluded.version
        where s.version = excluded.version - 1
      -- One that was added has to be new.
      returning s.xmax <> 0 or s.version = 1 as is_right
  )
  select count(*) filter (where is_right) into kept from put;
  return gone + kept;
end
$write$;

create function millrace.read_state(the_step integer, the_partition integer, keys text[])
returns table (key text, at bigint, value text, due bigint, version bigint)
language plpgsql stable set enable_seqscan = off set enable_bitmapscan = off
as $read$
#variable_conflict use_column
begin
  return query select s.key, s.at, s.value, s.due, s.version
    from unnest(keys) as k (key) cross join lateral (
      select c.key, c.at, c.value, c.due, c.version from millrace.state c
      where c.step = the_step and c.partition = the_partition and c.key = k.key offset 0
    ) s;
end
$read$;

create function millrace.due_state(the_step integer, the_partition integer, after_due bigint, after_key text, at_most integer)
returns table (key text, due bigint)
language plpgsql stable set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
as $due$
#variable_conflict use_column
begin
  return query select s.key, s.due from millrace.state s
    where s.step = the_step and s.partition = the_partition and s.due is not null
      and (s.due, s.key) > (after_due, after_key)
    order by s.due, s.key limit at_most;
end
$due$;

drop function millrace.claim(text, text, integer, uuid, text[], bigint[], text[]);
create function millrace.claim(
  the_app text, the_stream text, the_partition integer, the_owner uuid,
  sources text[], next_offsets bigint[], fingerprints text[]
) returns table (
  source text, next_offset bigint, fingerprint text, version bigint, budget text, halted text, halted_plan text, watermarks text
)
language plpgsql as $claim$
#variable_conflict use_column
declare
  next_version bigint;
begin
  insert into millrace.progress (app, stream, source, partition, next_offset, fingerprint, version, owner)
    select the_app, the_stream, s.source, the_partition, s.next_offset, s.fingerprint, 0, the_owner
    from unnest(sources, next_offsets, fingerprints) as s (source, next_offset, fingerprint)
    order by s.source
    on conflict do nothing;
  perform 1 from millrace.progress p
    where p.app = the_app and p.stream = the_stream and p.partition = the_partition
    order by p.source for update;
  select max(p.version) + 1 into next_version from millrace.progress p
    where p.app = the_app and p.stream = the_stream and p.partition = the_partition;
  return query
    update millrace.progress p set owner = the_owner, version = next_version, updated_at = clock_timestamp()
    where p.app = the_app and p.stream = the_stream and p.partition = the_partition
    returning p.source, p.next_offset, p.fingerprint, p.version, p.budget, p.halted, p.halted_plan, p.watermarks;
end
$claim$;

drop function millrace.fence(text, text, integer, uuid, bigint, text[], bigint[], text[], text, text, text);
create function millrace.fence(
  the_app text, the_stream text, the_partition integer, the_owner uuid, the_version bigint,
  sources text[], next_offsets bigint[], fingerprints text[], the_budget text, the_halt text, the_halted_plan text,
  the_watermarks text
) returns void
language plpgsql as $fence$
declare
  present text[];
  strangers bigint;
begin
  select array_agg(p.source), count(*) filter (where p.owner <> the_owner or p.version <> the_version)
    into present, strangers
    from (
      select q.source, q.owner, q.version from millrace.progress q
      where q.app = the_app and q.stream = the_stream and q.partition = the_partition
      order by q.source for update
    ) p;
  -- It raises, where an update that matches no row would be no error and let a COMMIT sent behind it go through.
  if strangers > 0 or present is null or not sources <@ present then
    raise exception 'progress of app %, stream %, partition % is not at version % of owner %',
      the_app, the_stream, the_partition, the_version, the_owner using errcode = 'MR001';
  end if;
  update millrace.progress p set
      version = the_version + 1,
      updated_at = clock_timestamp(),
      next_offset = coalesce(moved.next_offset, p.next_offset),
      fingerprint = case when moved.source is null then p.fingerprint else moved.fingerprint end,
      budget = the_budget,
      halted = the_halt,
      halted_plan = the_halted_plan,
      watermarks = coalesce(the_watermarks, p.watermarks)
    from unnest(present) as o (source)
    left join unnest(sources, next_offsets, fingerprints) as moved (source, next_offset, fingerprint) using (source)
    where p.app = the_app and p.stream = the_stream and p.partition = the_partition and p.source = o.source;
end
$fence$;
`
