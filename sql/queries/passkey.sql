-- name: use_challenge
-- No row when it was used before.
insert into passkey_challenge (challenge_hash, expires_at) values ($1, $2) on conflict do nothing;

-- name: forget_challenges
delete from passkey_challenge
where challenge_hash in (select challenge_hash from passkey_challenge where expires_at < $1 limit 500);

-- name: lock_account
-- One at a time adds or removes.
select id from account where id = $1 for no key update;

-- name: list
select id, credential_id, account_id, name, public_key, transports, discoverable, backup_eligible, backed_up, created_at,
    last_used_at
from passkey where account_id = $1 order by created_at, id;

-- name: one
select id, credential_id, account_id, name, public_key, transports, discoverable, backup_eligible, backed_up, created_at,
    last_used_at
from passkey where account_id = $1 and id = $2;

-- name: by_credential
-- One row at most, whosever it is.
select id, credential_id, account_id, name, public_key, transports, discoverable, backup_eligible, backed_up, created_at,
    last_used_at
from passkey where credential_id = $1;

-- name: insert
insert into passkey (credential_id, account_id, name, public_key, sign_count, transports, aaguid, discoverable,
    backup_eligible, backed_up, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
returning id, credential_id, account_id, name, public_key, transports, discoverable, backup_eligible, backed_up, created_at,
    last_used_at;

-- name: used
-- No row when the count has not grown: section 6.1.1 of Web Authentication. Authenticators that do not count say 0.
update passkey
set sign_count = $2, backed_up = $3, discoverable = discoverable or $4, last_used_at = $5
where id = $1 and (sign_count < $2 or (sign_count = 0 and $2 = 0));

-- name: rename
update passkey set name = $3 where account_id = $1 and id = $2;

-- name: delete
delete from passkey where account_id = $1 and id = $2 returning name;
