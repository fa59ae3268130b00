-- name: lock_subject
-- Attempts on one subject are counted one after the other, so that a burst cannot slip past the limit.
select pg_advisory_xact_lock(hashtextextended($1, 20));

-- name: failures
-- Of a subject's failures since $2: how many are newer than $3, the newest, and the $4th newest. One row.
select count(*) filter (where failed_at > $3) as recent, max(failed_at) as newest,
    (array_agg(failed_at order by failed_at desc))[$4] as limiting
from login_failure where subject = $1 and failed_at > $2;

-- name: nth_newest
-- The moment of a subject's failure with $3 newer ones, counting those since $2; none when there are not as many.
select failed_at from login_failure where subject = $1 and failed_at > $2 order by failed_at desc offset $3 limit 1;

-- name: reserve
-- Every attempt counts as a failure until it has succeeded.
insert into login_failure (subject, failed_at) values ($1, $2) returning id;

-- name: forgive
delete from login_failure where id = any($1);

-- name: clear
delete from login_failure where subject = $1;

-- name: forget_old
delete from login_failure where id in (select id from login_failure where failed_at < $1 limit 1000);

-- name: clear_devices
delete from login_failure where subject in (select 'device:' || id from known_device where account_id = $1);
