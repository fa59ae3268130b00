-- What takes a right away. The table is the truth; NOTIFY only wakes the readers.

-- name: publish
-- One row. Inside the caller's transaction: the readers see both or neither. NOTIFY wakes them at commit.
with inserted as (
    insert into event (topic, key) values ($1, $2)
)
select pg_notify('gateway', '');

-- name: position
-- One row. Everything committed below this transaction id is visible to whoever reads after it; a transaction at or
-- above it may commit later. On a standby there is no safe position: it lags behind what was committed.
select pg_snapshot_xmin(pg_current_snapshot())::text as position, pg_is_in_recovery() as is_standby;

-- name: poll
-- At least one row; seq is null where there is no event. Events at or above the last position come again while an
-- older transaction runs, and the reader drops those it knows: a cursor on seq would miss late commits.
select pg_snapshot_xmin(pg_current_snapshot())::text as position, event.seq, event.topic, event.key
from (select 1) as always
left join event on event.xid >= $1::text::xid8
order by event.seq;

-- name: remove_old
-- At most 1000 rows. Readers poll every second, so that an event of this age has been read by all; a reader that
-- was away that long starts over. Processes that clean at the same time skip one another's rows.
delete from event
where seq in (
    select seq from event
    where at < now() - $1::interval
    order by seq
    limit 1000
    for update skip locked
);
