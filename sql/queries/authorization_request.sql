-- name: insert
insert into authorization_request (uri_hash, client_id, parameters, pushed, created_at, expires_at)
values ($1, $2, $3::text::jsonb, $4, $5, $6);

-- name: find
select client_id, parameters::text as parameters, pushed, consented_by, created_at
from authorization_request where uri_hash = $1 and expires_at > $2;

-- name: consent
update authorization_request set consented_by = $2 where uri_hash = $1 and expires_at > $3;

-- name: take
-- Of two at once, one gets the row: a request is answered once.
delete from authorization_request where uri_hash = $1 returning uri_hash;

-- name: forget_expired
-- Housekeeping in small batches.
delete from authorization_request where uri_hash in (
    select uri_hash from authorization_request where expires_at < $1 limit 1000
);
