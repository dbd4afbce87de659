/** What makes state cheaper to write. A migration that was released is never changed. */
export const stateWritesSchema = `
-- A batch may change every cell of a page: where their next versions fit beside them, no index is touched.
alter table millrace.state set (fillfactor = 50);

-- Windows that have closed go by one range of an index, without being named. How many there were, and the sum of their
-- versions, tells whether they were the ones that the batch knew.
create function millrace.end_state(
  the_step integer, the_partition integer, up_to bigint, out cells bigint, out versions numeric
)
language plpgsql set enable_seqscan = off set enable_bitmapscan = off
as $end$
begin
  if up_to is null then
    cells := 0;
    versions := 0;
    return;
  end if;
  with gone as (
    delete from millrace.state s where s.step = the_step and s.partition = the_partition and s.due <= up_to
    returning s.version
  )
  select count(*), coalesce(sum(version), 0) into cells, versions from gone;
end
$end$;
`
