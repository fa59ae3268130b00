-- name: use
-- Each assertion is good once: of two at once, one gets the row.
insert into client_assertion (jti_hash, expires_at) values ($1, $2) on conflict do nothing returning jti_hash;

-- name: forget_expired
-- Housekeeping in small batches.
delete from client_assertion where jti_hash in (select jti_hash from client_assertion where expires_at < $1 limit 1000);
