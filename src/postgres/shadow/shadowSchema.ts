/** The table in which millrace notes which tables are being made anew. A migration that was released is never changed. */
export const shadowSchema = `
create table millrace.shadows (
  name text primary key,
  shadow text not null unique,
  reparse integer not null references millrace.reparses
);

comment on table millrace.shadows is
  'Tables that millrace reparse --shadow is making anew: each is written beside, and takes the place of the one it is made for.';
`
