-- name: insert
insert into authorization_code (code_hash, client_id, family_id, redirect_uri, redirect_uri_given, nonce,
    code_challenge, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: consume
-- Check and consume in one statement: of two at once, one gets the row. Locks the code's row. The first refresh token
-- ($4, null for none) is noted with it: a replay at the same moment ends the family, but finds nothing half-made.
with consumed as (
    update authorization_code c
    set used_at = $3
    from refresh_family f, account a
    where c.code_hash = $1 and c.client_id = $2 and c.used_at is null and c.expires_at > $3
        and f.id = c.family_id and f.revoked_at is null and a.id = f.account_id and a.is_active
    returning c.redirect_uri, c.redirect_uri_given, c.nonce, c.code_challenge,
        f.id as family_id, f.client_id, f.scopes, f.resources, f.claims::text as claims, f.acr, f.methods,
        f.authenticated_at, f.login_id, f.offline, f.expires_at,
        a.id, a.username, a.email, a.name, a.roles, a.is_active, a.is_verified, a.created_at, a.updated_at,
        a.last_login_at, a.revision, a.language
), first_token as (
    insert into refresh_token (token_hash, family_id, created_at, expires_at)
    select $4::bytea, family_id, $3, expires_at from consumed where $4 is not null
)
select redirect_uri, redirect_uri_given, nonce, code_challenge, family_id, client_id, scopes, resources, claims, acr,
    methods, authenticated_at, login_id, offline, expires_at,
    id, username, email, name, roles, is_active, is_verified, created_at, updated_at, last_login_at, revision, language
from consumed;

-- name: used
-- The family of a code that was redeemed before: its reappearance means that it leaked.
select family_id from authorization_code where code_hash = $1 and client_id = $2 and used_at is not null;

-- name: forget_unused
-- Housekeeping in small batches: nothing came of these families.
delete from refresh_family where id in (
    select family_id from authorization_code where used_at is null and expires_at < $1 limit 500
);
