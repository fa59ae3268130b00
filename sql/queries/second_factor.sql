-- name: add_totp
insert into totp (account_id, name, sealed_secret, created_at) values ($1, $2, $3, $4) returning id;

-- name: drop_unproven_totps
-- Only one waits to be proven: whoever begins anew has given up the last one.
delete from totp where account_id = $1 and confirmed_at is null;

-- name: unproven_totp
select id, name, sealed_secret from totp where id = $1 and account_id = $2 and confirmed_at is null and created_at > $3;

-- name: prove_totp
update totp set confirmed_at = $3, last_used_at = $3, last_step = $4, name = coalesce($5, name)
where id = $1 and account_id = $2 and confirmed_at is null
returning name;

-- name: totps
select id, name, sealed_secret, created_at, last_used_at, last_step from totp
where account_id = $1 and confirmed_at is not null order by created_at;

-- name: use_totp
-- A code is good once, and none is that is older than one that was taken.
update totp set last_step = $2, last_used_at = $3 where id = $1 and last_step < $2;

-- name: drop_totp
delete from totp where id = $1 and account_id = $2 and confirmed_at is not null returning name;

-- name: forget_unproven_totps
delete from totp where id in (select id from totp where confirmed_at is null and created_at < $1 limit 500);

-- name: drop_recovery_codes
delete from recovery_code where account_id = $1;

-- name: add_recovery_codes
insert into recovery_code (code_hash, account_id, created_at) select unnest($2::bytea[]), $1, $3;

-- name: use_recovery_code
update recovery_code set used_at = $3 where account_id = $1 and code_hash = $2 and used_at is null;

-- name: summary
-- What an account has; one row.
select
    (select count(*) from totp where account_id = $1 and confirmed_at is not null) as totps,
    (select count(*) from passkey where account_id = $1) as passkeys,
    (select count(*) from recovery_code where account_id = $1 and used_at is null) as recovery_codes;

-- name: lock_account
select id from account where id = $1 for no key update;

-- name: drop_all
-- One row.
with totps as (delete from totp where account_id = $1 returning 1),
    codes as (delete from recovery_code where account_id = $1 returning 1),
    keys as (delete from passkey where account_id = $1 returning 1)
select (select count(*) from totps) + (select count(*) from keys) as factors, (select count(*) from codes) as codes;
