-- name: put
insert into outgoing_mail (sealed, created_at, due_at, expires_at) values ($1, $2, $2, $3);

-- name: take
-- Letters that are due, put off before they are tried: another process takes others, and one that dies in between
-- leaves them to be tried again.
update outgoing_mail m
set attempts = attempts + 1, due_at = $1::timestamptz + least(interval '1 hour', interval '15 seconds' * power(3, attempts))
where m.id in (
    select id from outgoing_mail where due_at <= $1 and expires_at > $1 order by due_at limit $2 for update skip locked
)
returning m.id, m.sealed, m.attempts;

-- name: done
delete from outgoing_mail where id = $1;

-- name: next_due
-- When there is something to do; null when there is nothing.
select min(due_at) from outgoing_mail where expires_at > $1;

-- name: forget_expired
delete from outgoing_mail where id in (select id from outgoing_mail where expires_at <= $1 limit 500);
