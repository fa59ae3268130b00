-- name: start
insert into federation_start (state_hash, browser_hash, sealed, expires_at) values ($1, $2, $3, $4);

-- name: take
-- One row or none: whoever comes first has it, and in another browser it is lost.
delete from federation_start where state_hash = $1 returning browser_hash, sealed, expires_at;

-- name: forget_starts
delete from federation_start where state_hash in (select state_hash from federation_start where expires_at < $1 limit 500);

-- name: find
select account_id, roles from external_login where authority = $1 and subject = $2;

-- name: link
insert into external_login (authority, subject, account_id, provider, shown, roles, created_at, last_login_at)
values ($1, $2, $3, $4, $5, $6, $7, $7);

-- name: seen
update external_login set provider = $3, shown = $4, roles = $5, last_login_at = $6 where authority = $1 and subject = $2;

-- name: list
select authority, subject, provider, shown, created_at, last_login_at from external_login
where account_id = $1 order by created_at;

-- name: lock_account
select id from account where id = $1 for update;

-- name: unlink
delete from external_login where account_id = $1 and authority = $2 and subject = $3 returning provider;
