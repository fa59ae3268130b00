-- Families of tokens that clients hold. Own logins have theirs, without a client, in refresh.sql.

-- name: lock_account
-- No row for an account that is disabled or gone. Whoever disables it or ends its login comes before, or ends this family.
select id from account where id = $1 and is_active for share;

-- name: insert
-- After lock_account. No row when the login is over that a family without offline access ends with.
insert into refresh_family (account_id, client_id, scopes, resources, claims, acr, authenticated_at, methods,
    login_id, offline, created_at, expires_at)
select $1::uuid, $2::text, $3::text[], $4::text[], $5::text::jsonb, $6::text, $7::timestamptz, $8::text[],
    $9::uuid, $10::boolean, $11::timestamptz, $12::timestamptz
where $10 or $9 is null or exists (select 1 from session where login_id = $9)
returning id;

-- name: insert_token
-- No row when the family was revoked meanwhile: a replay that lost the race ends what the winner would get.
with alive as (
    update refresh_family set used_at = $3 where id = $2 and revoked_at is null returning id, expires_at
)
insert into refresh_token (token_hash, family_id, created_at, expires_at)
select $1, id, $3, expires_at from alive
returning family_id;

-- name: of_refresh_token
-- One row while family and account are good; used_at tells whether the token itself still is.
select t.used_at, f.id as family_id, f.client_id, f.scopes, f.resources, f.claims::text as claims, f.acr, f.methods,
    f.authenticated_at, f.login_id, f.offline, f.expires_at,
    a.id, a.username, a.email, a.name, a.roles, a.is_active, a.is_verified, a.created_at, a.updated_at, a.last_login_at
from refresh_token t join refresh_family f on f.id = t.family_id join account a on a.id = f.account_id
where t.token_hash = $1 and f.client_id = $2 and t.expires_at > $3
    and f.revoked_at is null and f.expires_at > $3 and a.is_active;

-- name: rotate
-- Check, consume and replace in one statement: of many at once, one gets the row.
with consumed as (
    update refresh_token set used_at = $3 where token_hash = $1 and used_at is null returning family_id
), alive as (
    update refresh_family f set used_at = $3
    from consumed c, account a
    where f.id = c.family_id and f.revoked_at is null and f.expires_at > $3 and a.id = f.account_id and a.is_active
    returning f.id, f.expires_at
)
insert into refresh_token (token_hash, family_id, created_at, expires_at)
select $2, id, $3, expires_at from alive
returning family_id;

-- name: retake
-- One row for a token that was used after $4, while nobody has used its successor: whoever has, got the answer.
select f.id
from refresh_token t
    join refresh_token successor on successor.token_hash = $2 and successor.family_id = t.family_id
    join refresh_family f on f.id = t.family_id
    join account a on a.id = f.account_id
where t.token_hash = $1 and t.used_at > $4 and successor.used_at is null
    and f.revoked_at is null and f.expires_at > $3 and a.is_active;

-- name: by_id
-- One row while family and account are good, of clients only.
select f.id as family_id, f.client_id, f.scopes, f.resources, f.claims::text as claims, f.acr, f.methods,
    f.authenticated_at, f.login_id, f.offline, f.expires_at,
    a.id, a.username, a.email, a.name, a.roles, a.is_active, a.is_verified, a.created_at, a.updated_at, a.last_login_at
from refresh_family f join account a on a.id = f.account_id
where f.id = $1 and f.client_id is not null and f.revoked_at is null and f.expires_at > $2 and a.is_active;

-- name: revoke
update refresh_family set revoked_at = $2, revoked_reason = $3
where id = $1 and client_id is not null and revoked_at is null;
