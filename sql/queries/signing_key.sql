-- name: all
select kid, algorithm, state, public_jwk::text as public_jwk, private_jwe, created_at, activated_at, retired_at
from signing_key
order by created_at, kid;

-- name: lock
-- One process changes keys at a time; readers are not held up.
select pg_advisory_xact_lock(hashtext('gateway signing keys'));

-- name: insert
insert into signing_key (kid, algorithm, state, public_jwk, private_jwe, created_at, activated_at)
values ($1, $2, $3, $4::text::jsonb, $5, $6, $7);

-- name: retire_active
-- Expects one row, or none before the first key.
update signing_key set state = 'retired', retired_at = $2 where state = 'active' and algorithm = $1;

-- name: activate
-- Expects one row.
update signing_key set state = 'active', activated_at = $2 where kid = $1 and state = 'next';

-- name: retire
-- Ends a key before its time: what it signed is refused from now on.
delete from signing_key where kid = $1 and state <> 'active' returning algorithm;

-- name: drop_next
delete from signing_key where state = 'next' and algorithm = $1;

-- name: forget_retired
-- Keys whose last token has expired.
delete from signing_key where state = 'retired' and retired_at < $1;
