/** millrace's own tables and functions, in the schema `millrace`. A migration that was released is never changed. */
import { outboxSchema } from './outboxSchema.ts'
import { shadowSchema } from './shadow/shadowSchema.ts'
import { stateSchema } from './stateSchema.ts'
import { stateWritesSchema } from './stateWritesSchema.ts'
import { trackingSchema } from './trackingSchema.ts'

/** One step of the schema. */
export interface SchemaStep {
  /** How it is recorded: a number for the order, then a name. */
  readonly name: string
  readonly sql: string
}

// SQLSTATE MR001 is `fenceLostState`: a migration stays what it was when it was released, so it is spelled out.
const first = `
create table millrace.progress (
  app text not null,
  stream text not null,
  source text not null,
  partition integer not null,
  next_offset bigint not null,
  version bigint not null,
  owner uuid not null,
  fingerprint text,
  updated_at timestamptz not null default clock_timestamp(),
  primary key (app, stream, source, partition)
) with (fillfactor = 50);

comment on table millrace.progress is
  'How far each input of each task has come. It commits in one transaction with the rows; version goes up by one in every one of them.';

create table millrace.errors (
  id bigint generated always as identity primary key,
  app text not null,
  stream text not null,
  step text not null,
  topic text not null,
  partition integer not null,
  record_offset bigint not null,
  record_timestamp timestamptz,
  key bytea,
  value bytea,
  header_keys text[] not null,
  header_values bytea[] not null,
  error_name text not null,
  error_message text not null,
  error_code text,
  error_stack text,
  attempts integer not null,
  collected_at timestamptz not null default clock_timestamp()
);

comment on table millrace.errors is
  'The error collector: items that failed, with the bytes they came in and the reason.';

create table millrace.audit (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  who text not null default current_user,
  app text not null,
  action text not null,
  stream text not null,
  source text not null,
  partition integer not null,
  from_offset bigint not null,
  to_offset bigint
);

comment on table millrace.audit is 'Changes of progress that were made by hand.';

create function millrace.claim(
  the_app text, the_stream text, the_partition integer, the_owner uuid,
  sources text[], next_offsets bigint[], fingerprints text[]
) returns table (source text, next_offset bigint, fingerprint text, version bigint)
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
    returning p.source, p.next_offset, p.fingerprint, p.version;
end
$claim$;

create function millrace.fence(
  the_app text, the_stream text, the_partition integer, the_owner uuid, the_version bigint,
  sources text[], next_offsets bigint[], fingerprints text[]
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
  if present is null or strangers > 0 or not sources <@ present then
    raise exception 'progress of app %, stream %, partition % is not at version % of owner %',
      the_app, the_stream, the_partition, the_version, the_owner using errcode = 'MR001';
  end if;
  update millrace.progress p set
      version = the_version + 1,
      updated_at = clock_timestamp(),
      next_offset = coalesce(moved.next_offset, p.next_offset),
      fingerprint = case when moved.source is null then p.fingerprint else moved.fingerprint end
    from unnest(present) as o (source)
    left join unnest(sources, next_offsets, fingerprints) as moved (source, next_offset, fingerprint) using (source)
    where p.app = the_app and p.stream = the_stream and p.partition = the_partition and p.source = o.source;
end
$fence$;
`

// What SQL in a migration calls is spelled out in it: later ones may change it.
const second = `
alter table millrace.progress
  add column budget text,
  add column halted text,
  add column halted_plan text;

comment on column millrace.progress.halted is
  'Why the stream does not run: its error budget is used up. "millrace resume" clears it; a plan other than halted_plan runs.';

alter table millrace.errors
  add column task_stream text,
  add column fingerprint text not null default '',
  add column at_line text,
  add column state text not null default 'open'
    check (state in ('open', 'deferred', 'parked', 'replaying', 'done', 'ignored')),
  add column retry_at timestamptz,
  add column remembered text,
  add column history jsonb not null default '[]',
  add column settled_at timestamptz,
  add column cut_from bigint,
  add check (cut_from is null or state in ('open', 'done', 'ignored'));

update millrace.errors set task_stream = stream;
alter table millrace.errors alter column task_stream set not null;

comment on column millrace.errors.stream is 'Where the item fell: its task''s stream, or one that depends on it or is triggered by it.';
comment on column millrace.errors.task_stream is 'The stream of the task that owns the item.';
comment on column millrace.errors.fingerprint is 'The same for errors of one step, class and message, numbers and names left out.';
comment on column millrace.errors.at_line is 'The first place of the stack in the user''s own code.';
comment on column millrace.errors.attempts is 'Tries so far.';
comment on column millrace.errors.collected_at is 'When it failed last.';
comment on column millrace.errors.state is
  'open: somebody has to look. deferred: tried again at retry_at. parked: waits behind an earlier item of its key. replaying: asked for. done, ignored: settled.';
comment on column millrace.errors.remembered is 'What outside calls have answered for it, for the next try.';
comment on column millrace.errors.history is 'Earlier failures, the oldest first.';
comment on column millrace.errors.cut_from is 'Bytes that the value had, where it was too long to be kept whole. Such an item cannot be replayed.';

create index errors_unsettled on millrace.errors (app, task_stream, partition, record_offset, id)
  where state in ('open', 'deferred', 'parked', 'replaying');
create index errors_waiting on millrace.errors (app, task_stream, partition, state, retry_at)
  where state in ('deferred', 'parked', 'replaying');
create index errors_by_fingerprint on millrace.errors (app, fingerprint);
create index errors_settled on millrace.errors (app, settled_at) where settled_at is not null;
-- A B-tree would refuse a key of more than 2,704 bytes, and with it the batch that collects it.
create index errors_by_key on millrace.errors using hash (key) where key is not null;

create view millrace.open_errors as
  select id, app, stream, step, state, topic, partition, record_offset, encode(key, 'escape') as key,
    encode(value, 'escape') as value, error_name, error_message, at_line, fingerprint, attempts, collected_at, retry_at
  from millrace.errors where state in ('open', 'deferred', 'parked', 'replaying');

comment on view millrace.open_errors is 'Items in the error collector that are not settled, with their bytes as text.';

alter table millrace.audit
  alter column stream drop not null,
  alter column source drop not null,
  alter column partition drop not null,
  alter column from_offset drop not null,
  add column items bigint,
  add column detail text;

comment on table millrace.audit is 'What was changed by hand.';

create table millrace.plans (
  app text not null,
  stream text not null,
  hash text not null,
  description text not null,
  order_steps text[] not null,
  started_at timestamptz not null default clock_timestamp(),
  primary key (app, stream)
);

comment on table millrace.plans is 'What was started last, by stream.';
comment on column millrace.plans.order_steps is 'Steps that give something else when an item comes later than it once did.';

drop function millrace.claim(text, text, integer, uuid, text[], bigint[], text[]);
create function millrace.claim(
  the_app text, the_stream text, the_partition integer, the_owner uuid,
  sources text[], next_offsets bigint[], fingerprints text[]
) returns table (
  source text, next_offset bigint, fingerprint text, version bigint, budget text, halted text, halted_plan text
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
    returning p.source, p.next_offset, p.fingerprint, p.version, p.budget, p.halted, p.halted_plan;
end
$claim$;

drop function millrace.fence(text, text, integer, uuid, bigint, text[], bigint[], text[]);
create function millrace.fence(
  the_app text, the_stream text, the_partition integer, the_owner uuid, the_version bigint,
  sources text[], next_offsets bigint[], fingerprints text[], the_budget text, the_halt text, the_halted_plan text
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
      halted_plan = the_halted_plan
    from unnest(present) as o (source)
    left join unnest(sources, next_offsets, fingerprints) as moved (source, next_offset, fingerprint) using (source)
    where p.app = the_app and p.stream = the_stream and p.partition = the_partition and p.source = o.source;
end
$fence$;
`

export const schemaSteps: readonly SchemaStep[] = [
  { name: '0001_progress_errors_audit', sql: first },
  { name: '0002_errors_wait_and_halt', sql: second },
  { name: '0003_tracking', sql: trackingSchema },
  { name: '0004_state', sql: stateSchema },
  { name: '0005_shadows', sql: shadowSchema },
  { name: '0006_outbox', sql: outboxSchema },
  { name: '0007_state_writes', sql: stateWritesSchema },
]

/** The table in which node-pg-migrate notes what was done, as it makes it. */
const bookkeeping = `create schema if not exists millrace;
create table if not exists millrace.migrations (id serial primary key, name varchar(255) not null, run_on timestamp not null);
`

/** The whole schema as SQL, for teams that apply changes with a tool of their own. Applied once, millrace finds nothing left to do. */
export function schemaSql(): string {
  const steps = schemaSteps.map(
    ({ name, sql }) => `-- ${name}${sql}insert into millrace.migrations (name, run_on) values ('${name}', now());\n`,
  )
  return `begin;\n${bookkeeping}${steps.join('\n')}commit;\n`
}
