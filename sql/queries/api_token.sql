-- name: insert
insert into api_token (id, secret_hash, account_id, name, scopes, created_at, expires_at, routes, hosts)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: list
select id, account_id, name, scopes, created_at, expires_at, last_used_at, routes, hosts
from api_token where account_id = $1 order by created_at, id;

-- name: find
-- Tokens with their accounts, for many at once: one row while both are good.
-- The limit keeps it one look into an index for each, whatever the planner believes of the tables.
select asked.place, found.*
from unnest($1::text[], $2::timestamptz[]) with ordinality as asked (id, now, place)
cross join lateral (
    select t.id, t.secret_hash, t.scopes, t.routes, t.hosts, t.created_at, t.expires_at,
        a.id as account_id, a.username, a.email, a.name, a.roles
    from api_token t
    join account a on a.id = t.account_id
    where t.id = asked.id and (t.expires_at is null or t.expires_at > asked.now) and a.is_active
    limit 1
) as found;

-- name: delete
delete from api_token where id = $1 and account_id = $2;

-- name: used
update api_token set last_used_at = $2 where id = any($1);

-- name: count
select count(*) from api_token where account_id = $1;
