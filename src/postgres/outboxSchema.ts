/** The tables of what tasks emit. A migration that was released is never changed. */
export const outboxSchema = `
create table millrace.emitters (
  id integer generated always as identity primary key,
  app text not null,
  stream text not null,
  partition integer not null,
  sequence bigint not null,
  unique (app, stream, partition)
) with (fillfactor = 50);

comment on table millrace.emitters is
  'Tasks that write to topics, each with the last number that it gave to a record. Kept when progress is reset: readers know records by it.';

create table millrace.outbox (
  emitter integer not null,
  sequence bigint not null,
  topic text not null,
  partition integer not null,
  key bytea,
  value bytea,
  at bigint not null,
  headers text,
  primary key (emitter, sequence)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);

comment on table millrace.outbox is
  'Records for topics, from the commit of their items until Kafka has acknowledged them: about one batch of each task.';
comment on column millrace.outbox.at is 'The timestamp of the record, in milliseconds since the epoch.';
comment on column millrace.outbox.headers is 'JSON: a list of names and values in base64.';

-- Runs under the lock that the fence holds on the task's progress, so nobody takes the same numbers, and none is committed later than
-- one behind it. The table has no statistics while it grows and shrinks: it has to be gone through by its index.
create function millrace.take_sequences(
  the_app text, the_stream text, the_partition integer, last bigint, sent bigint
) returns integer
language plpgsql set enable_seqscan = off set enable_bitmapscan = off
as $take$
declare
  the_emitter integer;
begin
  if last is null then
    select e.id into the_emitter from millrace.emitters e
      where e.app = the_app and e.stream = the_stream and e.partition = the_partition;
  else
    insert into millrace.emitters as e (app, stream, partition, sequence)
      values (the_app, the_stream, the_partition, last)
      on conflict (app, stream, partition) do update set sequence = excluded.sequence
      returning e.id into the_emitter;
  end if;
  delete from millrace.outbox o where o.emitter = the_emitter and o.sequence <= sent;
  return the_emitter;
end
$take$;

-- A task goes on behind the time in microseconds, whatever it had: in a database that was lost, or brought back from a backup, it would
-- else give numbers a second time, and readers would take new records for repeats.
create function millrace.left_emits(the_app text, the_stream text, the_partition integer)
returns table (last bigint, sequence bigint, topic text, partition integer, key bytea, value bytea, at bigint, headers text)
language sql set enable_seqscan = off set enable_bitmapscan = off
as $left$
  select greatest(e.sequence, (extract(epoch from clock_timestamp()) * 1000000)::bigint),
    o.sequence, o.topic, o.partition, o.key, o.value, o.at, o.headers
  from (select the_app as app, the_stream as stream, the_partition as partition) t
  left join millrace.emitters e using (app, stream, partition)
  left join millrace.outbox o on o.emitter = e.id
  order by o.sequence
$left$;
`
