-- What people have agreed to.

-- name: find
-- One row at most: what an account granted a client, all times together.
select scopes, resources, claims from oauth_consent where account_id = $1 and client_id = $2;

-- name: remember
-- What was granted before stays granted: an application that asks for less today may ask for it again tomorrow.
insert into oauth_consent as known (account_id, client_id, scopes, resources, claims, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $6)
on conflict (account_id, client_id) do update set
    scopes = array(select distinct unnest(known.scopes || excluded.scopes) order by 1),
    resources = array(select distinct unnest(known.resources || excluded.resources) order by 1),
    claims = array(select distinct unnest(known.claims || excluded.claims) order by 1),
    updated_at = excluded.updated_at;

-- name: list
-- One row for each client with a consent, or with tokens that are good at $2: nobody is asked for what first-party
-- clients get, and it can be taken back all the same. The columns are those of a client without its secrets.
with family as (
    select client_id, scopes, resources, created_at, coalesce(used_at, created_at) as used_at,
        revoked_at is null and expires_at > $2 as living
    from refresh_family where account_id = $1 and client_id is not null
), granted as (
    select client_id, scopes, resources, claims, created_at from oauth_consent where account_id = $1
    union all
    select client_id, scopes, resources, '{}', created_at from family where living
)
select c.id, c.name, c.owner_id, c.metadata::text as metadata, c.first_party, c.requires_pkce, c.may_introspect,
    c.opens_routes, c.is_active, c.registration_hash, c.created_at, c.updated_at,
    null as secret_id,
    o.username as owner,
    array(select distinct unnest(g.scopes) from granted g where g.client_id = c.id order by 1) as scopes,
    array(select distinct unnest(g.resources) from granted g where g.client_id = c.id order by 1) as resources,
    array(select distinct unnest(g.claims) from granted g where g.client_id = c.id order by 1) as claims,
    (select min(g.created_at) from granted g where g.client_id = c.id) as since,
    (select max(f.used_at) from family f where f.client_id = c.id) as last_used
from oauth_client c left join account o on o.id = c.owner_id
where c.id in (select client_id from granted)
order by lower(c.name), c.id;

-- name: lock_account
-- Families begin under a share lock of it: one that is about to begin comes before, and is ended.
select id from account where id = $1 for no key update;

-- name: forget
delete from oauth_consent where account_id = $1 and client_id = $2;

-- name: forget_requests
-- What was agreed to and not yet answered.
delete from authorization_request where consented_by = $1 and client_id = $2;

-- name: end_families
-- All that was granted to a client by an account: browsers, devices, offline access.
update refresh_family set revoked_at = $3, revoked_reason = 'taken back'
where account_id = $1 and client_id = $2 and revoked_at is null and expires_at > $3
returning id;

-- name: owner
select username from account where id = $1;
