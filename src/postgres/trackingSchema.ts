/** The tables in which millrace remembers which rows items have made. A migration that was released is never changed. */
export const trackingSchema = `
create table millrace.tracked_tasks (
  id integer generated always as identity primary key,
  app text not null,
  stream text not null,
  topic text not null,
  partition integer not null,
  grouped boolean not null,
  unique (app, topic, partition, stream, grouped)
);

comment on table millrace.tracked_tasks is
  'What the column mr_task of tables with track points to: a stream and a partition. Rows that several items have made together are told apart from those of their last item.';

create table millrace.tracked_tables (
  id integer generated always as identity primary key,
  name text not null unique,
  key text[] not null,
  on_conflict jsonb not null,
  columns text[] not null
);

comment on table millrace.tracked_tables is 'Tables with track, as plans have described them last, and the columns that were written.';

create table millrace.tracked_in (
  task integer not null,
  table_id integer not null,
  primary key (task, table_id)
);

comment on table millrace.tracked_in is 'Which task has written which table.';

create table millrace.tracked_members (
  task integer not null,
  record_offset bigint not null,
  last_offset bigint not null
);

comment on table millrace.tracked_members is 'The items that have made rows together, each with the last one, under which the rows are found.';

create index tracked_members_by_item on millrace.tracked_members (task, record_offset);
create index tracked_members_by_last on millrace.tracked_members (task, last_offset);

create sequence millrace.arrivals;

create table millrace.contributions (
  table_id integer not null,
  task integer not null,
  record_offset bigint not null,
  arrival bigint not null,
  ordinal integer not null,
  key text[] not null,
  cells jsonb not null
);

comment on table millrace.contributions is
  'What each item has given to a row of a table with a key. In the order of arrival, record_offset, ordinal they make the row. Task 0: what was there before tracking.';

create index contributions_by_item on millrace.contributions (table_id, task, record_offset);
create index contributions_by_key on millrace.contributions (table_id, key, arrival, record_offset, ordinal);

create table millrace.reparses (
  id integer generated always as identity primary key,
  app text not null,
  streams text[] not null,
  selection text not null,
  plan text not null,
  ranges jsonb not null,
  state text not null check (state in ('running', 'done', 'dropped')),
  started_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz
);

comment on table millrace.reparses is 'What was run again, by millrace reparse. How far one has come that is running is in millrace.progress.';
`
