-- What access tokens of clients stand on. The limit keeps each one look into an index, whatever the planner believes.

-- name: granted
-- For many at once: one row while family, account and client are good.
select asked.place, found.*
from unnest($1::uuid[], $2::text[]) with ordinality as asked (family_id, client_id, place)
cross join lateral (
    select a.id, a.username, a.email, a.name, a.roles
    from refresh_family f
    join account a on a.id = f.account_id
    join oauth_client c on c.id = f.client_id
    where f.id = asked.family_id and f.client_id = asked.client_id and f.revoked_at is null and a.is_active
        and c.is_active and not exists (select 1 from account o where o.id = c.owner_id and not o.is_active)
    limit 1
) as found;

-- name: own
-- Of clients that stand for themselves: one row while the client is good and the token was not revoked.
select asked.place, found.*
from unnest($1::text[], $2::bytea[]) with ordinality as asked (client_id, jti_hash, place)
cross join lateral (
    select c.id, c.name, c.opens_routes or c.first_party as opens_routes, c.metadata->>'scope' as scope,
        coalesce(c.metadata->'grant_types' ? 'client_credentials', false) as stands_for_itself
    from oauth_client c
    where c.id = asked.client_id and c.is_active
        and not exists (select 1 from account o where o.id = c.owner_id and not o.is_active)
        and not exists (select 1 from revoked_token r where r.jti_hash = asked.jti_hash)
    limit 1
) as found;
