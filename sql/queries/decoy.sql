-- name: put
insert into decoy (username_key, password_hash, created_at) values ($1, $2, $3) on conflict do nothing;

-- name: find
select password_hash from decoy where username_key = $1;

-- name: forget_old
delete from decoy where username_key in (select username_key from decoy where created_at < $1 limit 500);
