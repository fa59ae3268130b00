-- name: note
insert into external_session (login_id, authority, subject, provider, session) values ($1, $2, $3, $4, $5)
on conflict (login_id) do update
set authority = excluded.authority, subject = excluded.subject, provider = excluded.provider, session = excluded.session;

-- name: provider_of
select provider from external_session where login_id = $1;

-- name: resting
-- By the login's name there, or without one all of a person's.
select login_id from external_session
where authority = $1 and case when $3 = '' then subject = $2 else session = $3 and ($2 = '' or subject = $2) end;

-- name: use_token
-- No row the second time.
insert into federation_logout (token_hash, expires_at) values ($1, $2) on conflict do nothing returning 1;

-- name: forget
with tokens as (
    delete from federation_logout where token_hash in (
        select token_hash from federation_logout where expires_at < $1 limit 500
    )
)
delete from external_session where login_id in (
    select e.login_id from external_session e
    where not exists (select from session s where s.login_id = e.login_id) limit 500
);
