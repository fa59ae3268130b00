-- Back-channel logouts. Their times are PostgreSQL's own: a trigger writes them.

-- name: take
-- The notices that are due, put off before they are tried: another process takes others, and one that dies in between
-- leaves them to be tried again.
update logout_notice n
set attempts = attempts + 1, due_at = now() + least(interval '1 hour', interval '10 seconds' * power(3, attempts))
where n.id in (
    select id from logout_notice where due_at <= now() order by due_at limit $1 for update skip locked
)
returning n.id, n.client_id, n.account_id, n.login_id, n.attempts;

-- name: done
delete from logout_notice where id = $1;

-- name: next_due
-- In how many seconds there is something to do; null when there is nothing.
select greatest(0, extract(epoch from due_at - now()))::float8 from logout_notice order by due_at limit 1;
