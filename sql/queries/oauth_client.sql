-- name: find
-- One row for each of its secrets, at least one while the client is there. A client is good while its owner is.
select c.id, c.name, c.owner_id, c.metadata::text as metadata, c.first_party, c.requires_pkce, c.may_introspect,
    c.opens_routes, c.is_active and coalesce(a.is_active, true) as is_active, c.registration_hash, c.created_at,
    c.updated_at, s.id as secret_id, s.secret_hash, s.created_at as secret_created_at,
    s.expires_at as secret_expires_at
from oauth_client c
left join account a on a.id = c.owner_id
left join oauth_client_secret s on s.client_id = c.id
where c.id = $1 order by s.created_at, s.id;

-- name: get
-- As find, but as the client itself stands, whatever its owner does.
select c.id, c.name, c.owner_id, c.metadata::text as metadata, c.first_party, c.requires_pkce, c.may_introspect,
    c.opens_routes, c.is_active, c.registration_hash, c.created_at, c.updated_at, s.id as secret_id, s.secret_hash,
    s.created_at as secret_created_at, s.expires_at as secret_expires_at
from oauth_client c left join oauth_client_secret s on s.client_id = c.id
where c.id = $1 order by s.created_at, s.id;

-- name: lock
-- Changes of one client come one after the other. Who ends a login holds what was granted in it when they write down
-- that the client is to hear of it: they must not wait for us, who wait for that.
select id from oauth_client where id = $1 for no key update;

-- name: page
-- Clients in the order of their names, with one row for each secret; those of one owner where $4 is given.
with shown as (
    select * from oauth_client
    where ($1 = '' or position(lower($1) in lower(name)) > 0 or position(lower($1) in id) > 0)
        and ($4::uuid is null or owner_id = $4)
    order by lower(name), id
    limit $2 offset $3
)
select c.id, c.name, c.owner_id, c.metadata::text as metadata, c.first_party, c.requires_pkce, c.may_introspect,
    c.opens_routes, c.is_active, c.registration_hash, c.created_at, c.updated_at, s.id as secret_id, s.secret_hash,
    s.created_at as secret_created_at, s.expires_at as secret_expires_at
from shown c left join oauth_client_secret s on s.client_id = c.id
order by lower(c.name), c.id, s.created_at, s.id;

-- name: count
select count(*) from oauth_client
where ($1 = '' or position(lower($1) in lower(name)) > 0 or position(lower($1) in id) > 0)
    and ($2::uuid is null or owner_id = $2);

-- name: count_registered
-- Those that registered themselves, for nobody.
select count(*) from oauth_client where owner_id is null and registration_hash is not null;

-- name: forget_unused
-- At most 100 that registered themselves for nobody, that nobody has used since $1, and no administrator has touched.
with gone as (
    delete from oauth_client where id in (
        select id from oauth_client c
        where c.owner_id is null and c.registration_hash is not null and c.updated_at < $1
            and not (c.first_party or c.opens_routes or c.may_introspect)
            and not exists (select 1 from oauth_consent o where o.client_id = c.id)
            and not exists (select 1 from refresh_family f where f.client_id = c.id)
        limit 100
    )
    returning id
)
insert into event (topic, key) select 'client', id from gone;

-- name: owner_names
select id, username from account where id = any($1::uuid[]);

-- name: update
update oauth_client
set name = $2, metadata = $3::text::jsonb, first_party = $4, requires_pkce = $5, may_introspect = $6,
    opens_routes = $7, is_active = $8, updated_at = $9
where id = $1;

-- name: delete
delete from oauth_client where id = $1;

-- name: end_families
-- What people granted it. Deleting the client takes the rows along; whoever remembers them has to hear of it.
update refresh_family set revoked_at = $2, revoked_reason = $3
where client_id = $1 and revoked_at is null and expires_at > $2
returning id;

-- name: forget_devices
-- Those that still wait: what they asked for may be more than the client has now.
delete from device_code where client_id = $1 and family_id is null;

-- name: expire_secrets
-- What is there before a new one comes; one at most, the others were deleted.
update oauth_client_secret set expires_at = $2 where client_id = $1;

-- name: delete_secrets
-- All but one; every one where $2 is null.
delete from oauth_client_secret where client_id = $1 and id is distinct from $2::uuid;

-- name: insert
insert into oauth_client (id, name, owner_id, metadata, first_party, requires_pkce, may_introspect, opens_routes,
    registration_hash, created_at, updated_at)
values ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8, $9, $10, $10);

-- name: insert_secret
insert into oauth_client_secret (client_id, secret_hash, created_at, expires_at) values ($1, $2, $3, $4);
