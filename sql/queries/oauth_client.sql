-- name: find
-- One row for each of its secrets, at least one while the client is there; inactive ones included.
select c.id, c.name, c.owner_id, c.metadata::text as metadata, c.first_party, c.requires_pkce, c.may_introspect,
    c.opens_routes, c.is_active, c.registration_hash, c.created_at, c.updated_at,
    s.id as secret_id, s.secret_hash, s.created_at as secret_created_at, s.expires_at as secret_expires_at
from oauth_client c left join oauth_client_secret s on s.client_id = c.id
where c.id = $1 order by s.created_at;

-- name: insert
insert into oauth_client (id, name, owner_id, metadata, first_party, requires_pkce, may_introspect, opens_routes,
    registration_hash, created_at, updated_at)
values ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8, $9, $10, $10);

-- name: insert_secret
insert into oauth_client_secret (client_id, secret_hash, created_at, expires_at) values ($1, $2, $3, $4);
