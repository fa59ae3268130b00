-- name: insert_family
-- No row for an account that is disabled or gone. Shares its row: who disables it comes before, or ends this family.
insert into refresh_family (account_id, client_id, scopes, authenticated_at, methods, created_at, expires_at)
select id, $2::text, $3::text[], $4::timestamptz, $5::text[], $6::timestamptz, $7::timestamptz
from account where id = $1 and is_active for share
returning id;

-- name: insert_token
insert into refresh_token (token_hash, family_id, created_at, expires_at) values ($1, $2, $3, $4);

-- name: consume
-- Check and consume in one statement: of two at once, one gets the row. Locks the token's row. A client's token is not
-- for here: its scopes and its audience would be lost on the way.
update refresh_token t
set used_at = $2
from refresh_family f, account a
where t.token_hash = $1
  and t.used_at is null
  and t.expires_at > $2
  and f.id = t.family_id
  and f.client_id is null
  and f.revoked_at is null
  and f.expires_at > $2
  and a.id = f.account_id
  and a.is_active
returning f.id as family_id, f.account_id, f.scopes, f.authenticated_at, f.methods, f.expires_at;

-- name: used
-- The family of a token that was consumed before: its reappearance means that it leaked.
select t.family_id from refresh_token t join refresh_family f on f.id = t.family_id
where t.token_hash = $1 and t.used_at is not null and f.client_id is null;

-- name: revoke_family
update refresh_family set revoked_at = $2, revoked_reason = $3 where id = $1 and revoked_at is null;

-- name: revoke_account
update refresh_family set revoked_at = $2, revoked_reason = $3
where account_id = $1 and revoked_at is null and expires_at > $2
returning id;

-- name: family_identity
-- Everything that access tokens stand on, for many at once: one row while the family and the account are good.
-- The limit keeps it one look into an index for each, whatever the planner believes of the tables.
select asked.place, found.*
from unnest($1::uuid[], $2::uuid[]) with ordinality as asked (family_id, account_id, place)
cross join lateral (
    select a.id, a.username, a.email, a.name, a.roles, f.id as family_id
    from refresh_family f
    join account a on a.id = f.account_id
    where f.id = asked.family_id and a.id = asked.account_id and f.client_id is null and f.revoked_at is null and a.is_active
    limit 1
) as found;

-- name: forget_expired
-- Housekeeping in small batches.
delete from refresh_family where id in (select id from refresh_family where expires_at < $1 limit 500);
