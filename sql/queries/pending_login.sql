-- name: begin
-- No row for an account that has changed since its first factor was checked. Of many that were left, the newest stay.
with crowd as (
    delete from pending_login where secret_hash in (
        select secret_hash from pending_login where account_id = $2 order by created_at desc offset 19
    )
)
insert into pending_login (secret_hash, account_id, revision, methods, for_api, remembered, must_enrol, address,
    created_at, expires_at, authenticated_at, external)
select $1, id, revision, $4, $5, $6, $7, $8, $9, $10, $11, $12 from account where id = $2 and revision = $3 and is_active
returning 1;

-- name: find
select p.account_id, p.methods, p.remembered, p.must_enrol, p.created_at, p.authenticated_at, p.revision, p.external
from pending_login p join account a on a.id = p.account_id
where p.secret_hash = $1 and p.for_api = $2 and p.expires_at > $3 and a.is_active and a.revision = p.revision;

-- name: fail
-- One row: how often this login has been tried by now.
update pending_login set attempts = attempts + 1 where secret_hash = $1 returning attempts;

-- name: finish
-- The row goes with the login: it is good once.
delete from pending_login p using account a
where p.secret_hash = $1 and p.for_api = $2 and p.expires_at > $3
    and a.id = p.account_id and a.is_active and a.revision = p.revision
returning p.account_id, p.methods, p.remembered, p.must_enrol, p.created_at, p.authenticated_at, p.revision,
    p.external;

-- name: drop
delete from pending_login where secret_hash = $1;

-- name: forget_expired
delete from pending_login where secret_hash in (select secret_hash from pending_login where expires_at < $1 limit 500);
