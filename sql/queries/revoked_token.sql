-- name: insert
insert into revoked_token (jti_hash, expires_at) values ($1, $2) on conflict do nothing;

-- name: find
select true from revoked_token where jti_hash = $1;

-- name: forget_expired
-- Housekeeping in small batches: an expired token is refused for that.
delete from revoked_token where jti_hash in (select jti_hash from revoked_token where expires_at < $1 limit 1000);
