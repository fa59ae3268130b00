-- Codes by which a device gets its tokens through a person's browser (RFC 8628).

-- name: insert
-- A user code that waits already is not given out again: no row then.
insert into device_code (device_hash, user_code, client_id, scopes, resources, created_at, expires_at, interval_seconds)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (user_code) do nothing
returning user_code;

-- name: find_waiting
select user_code, client_id, scopes, resources, created_at
from device_code where user_code = $1 and decision is null and expires_at > $2;

-- name: lock_waiting
-- Of two decisions at once, the first one counts.
select client_id from device_code
where user_code = $1 and client_id = $2 and decision is null and expires_at > $3 for update;

-- name: approve
update device_code set decision = 'approved', family_id = $2 where user_code = $1;

-- name: deny
update device_code set decision = 'denied' where user_code = $1 and decision is null and expires_at > $2;

-- name: poll
-- One row for a code of this client that was not used yet. Who asks too soon has to wait five seconds longer from now
-- on (section 3.5).
with before as (
    select device_hash, polled_at + interval_seconds * interval '1 second' > $3::timestamptz as too_soon
    from device_code where device_hash = $1 and client_id = $2 and used_at is null for update
)
update device_code d set polled_at = $3,
    interval_seconds = d.interval_seconds + case when coalesce(b.too_soon, false) then 5 else 0 end
from before b where d.device_hash = b.device_hash
returning coalesce(b.too_soon, false) as too_soon, d.decision, d.expires_at;

-- name: consume
-- Of two at once, one gets the row: a code is good once.
update device_code set used_at = $3
where device_hash = $1 and client_id = $2 and decision = 'approved' and used_at is null and expires_at > $3
returning family_id;

-- name: forget_expired
-- Housekeeping in small batches.
delete from device_code where device_hash in (select device_hash from device_code where expires_at < $1 limit 1000);
