-- name: insert
insert into api_token (id, secret_hash, account_id, name, scopes, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7);

-- name: list
select id, account_id, name, scopes, created_at, expires_at, last_used_at
from api_token where account_id = $1 order by created_at, id;

-- name: find
-- The token with its account, while both are good.
select t.id, t.secret_hash, t.scopes, t.created_at, t.expires_at, a.id as account_id, a.username, a.email, a.name, a.roles
from api_token t join account a on a.id = t.account_id
where t.id = $1 and (t.expires_at is null or t.expires_at > $2) and a.is_active;

-- name: delete
delete from api_token where id = $1 and account_id = $2;

-- name: used
update api_token set last_used_at = $2 where id = any($1);

-- name: count
select count(*) from api_token where account_id = $1;
