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
-- For many at once: one row while family and account are good; used_at tells whether the token itself still is.
-- The limit keeps it one look into an index for each, whatever the planner believes of the tables.
select asked.place, found.*
from unnest($1::bytea[], $2::text[], $3::timestamptz[]) with ordinality as asked (token_hash, client_id, now, place)
cross join lateral (
    select t.used_at, f.id as family_id, f.client_id, f.scopes, f.resources, f.claims::text as claims, f.acr,
        f.methods, f.authenticated_at, f.login_id, f.offline, f.expires_at,
        a.id, a.username, a.email, a.name, a.roles, a.is_active, a.is_verified, a.created_at, a.updated_at,
        a.last_login_at, a.revision, a.language
    from refresh_token t join refresh_family f on f.id = t.family_id join account a on a.id = f.account_id
    where t.token_hash = asked.token_hash and f.client_id = asked.client_id and t.expires_at > asked.now
        and f.revoked_at is null and f.expires_at > asked.now and a.is_active
    limit 1
) as found;

-- name: rotate
-- Check, consume and replace, for many tokens in one statement: a row for each that was good. Of several who present
-- one token, here or elsewhere at the same time, one gets the row. Nobody waits here for what somebody else holds: who
-- ends or deletes many would wait for this one in turn. They come at the same moment: the first one's time is everybody's.
with asked as materialized (
    select distinct on (token_hash) token_hash, successor_hash, client_id, place
    from unnest($1::bytea[], $2::bytea[], $3::text[]) with ordinality
        as each (token_hash, successor_hash, client_id, place)
    order by token_hash, place
), good as materialized (
    select asked.place, asked.token_hash, asked.successor_hash, found.family_id
    from asked
    cross join lateral (
        select t.family_id
        from refresh_token t join refresh_family f on f.id = t.family_id
        where t.token_hash = asked.token_hash and t.used_at is null and t.expires_at > ($4::timestamptz[])[1]
            and f.client_id = asked.client_id
        limit 1 for update of t skip locked for no key update of f skip locked
    ) as found
), consumed as (
    update refresh_token set used_at = ($4::timestamptz[])[1] where token_hash = any (array(select token_hash from good))
    returning family_id
), alive as (
    update refresh_family set used_at = ($4::timestamptz[])[1]
    where id = any (array(select family_id from consumed))
        and revoked_at is null and expires_at > ($4::timestamptz[])[1]
        and exists (select 1 from account where account.id = account_id and is_active)
    returning id, expires_at
), replaced as (
    insert into refresh_token (token_hash, family_id, created_at, expires_at)
    select good.successor_hash, alive.id, ($4::timestamptz[])[1], alive.expires_at
    from good join alive on alive.id = good.family_id
    returning token_hash
)
select good.place, found.*
from good join replaced on replaced.token_hash = good.successor_hash
cross join lateral (
    select f.id as family_id, f.client_id, f.scopes, f.resources, f.claims::text as claims, f.acr,
        f.methods, f.authenticated_at, f.login_id, f.offline, f.expires_at,
        a.id, a.username, a.email, a.name, a.roles, a.is_active, a.is_verified, a.created_at, a.updated_at,
        a.last_login_at, a.revision, a.language
    from refresh_family f join account a on a.id = f.account_id
    where f.id = good.family_id
    limit 1
) as found;

-- name: is_left
-- Waits for whoever holds the token, while holding nothing. True: it was not used even so.
select used_at is null from refresh_token where token_hash = $1 for share;

-- name: retake
-- One row for a token that was used after $5, while nobody has used its successor: whoever has, got the answer.
select f.id as family_id, f.client_id, f.scopes, f.resources, f.claims::text as claims, f.acr,
    f.methods, f.authenticated_at, f.login_id, f.offline, f.expires_at,
    a.id, a.username, a.email, a.name, a.roles, a.is_active, a.is_verified, a.created_at, a.updated_at,
    a.last_login_at, a.revision, a.language
from refresh_token t
    join refresh_token successor on successor.token_hash = $2 and successor.family_id = t.family_id
    join refresh_family f on f.id = t.family_id
    join account a on a.id = f.account_id
where t.token_hash = $1 and f.client_id = $3 and t.used_at > $5 and successor.used_at is null
    and f.revoked_at is null and f.expires_at > $4 and a.is_active;

-- name: by_id
-- One row while family and account are good, of clients only.
select f.id as family_id, f.client_id, f.scopes, f.resources, f.claims::text as claims, f.acr, f.methods,
    f.authenticated_at, f.login_id, f.offline, f.expires_at,
    a.id, a.username, a.email, a.name, a.roles, a.is_active, a.is_verified, a.created_at, a.updated_at, a.last_login_at, a.revision, a.language
from refresh_family f join account a on a.id = f.account_id
where f.id = $1 and f.client_id is not null and f.revoked_at is null and f.expires_at > $2 and a.is_active;

-- name: revoke
update refresh_family set revoked_at = $2, revoked_reason = $3
where id = $1 and client_id is not null and revoked_at is null;
