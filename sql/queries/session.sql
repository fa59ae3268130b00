-- name: insert
insert into session (secret_hash, account_id, login_id, host, data, remembered, methods, authenticated_at,
    created_at, seen_at, idle_until, expires_at, address, user_agent)
values ($1, $2, coalesce($3, gen_random_uuid()), $4, $5::text::jsonb, $6, $7, $8, $9, $9, $10, $11, $12, $13)
returning id, login_id;

-- name: trim
-- The oldest logins beyond the limit but for the new one ($3); a login counts once, however many hosts it reached.
delete from session where account_id = $1 and login_id in (
    select login_id from session where account_id = $1
    group by login_id order by login_id = $3 desc, max(seen_at) desc offset $2
) returning id;

-- name: find
-- Sessions with their accounts, for many at once: one row while both are good. The host is part of the key.
-- The limit keeps it one look into an index for each, whatever the planner believes of the tables.
select asked.place, found.*
from unnest($1::bytea[], $2::text[], $3::timestamptz[]) with ordinality as asked (secret_hash, host, now, place)
cross join lateral (
    select s.id, s.login_id, s.host, s.data::text as data, s.remembered, s.methods, s.authenticated_at,
        s.created_at, s.seen_at, s.idle_until, s.expires_at, s.address, s.user_agent,
        a.id as account_id, a.username, a.email, a.name, a.roles, a.language
    from session s
    join account a on a.id = s.account_id
    where s.secret_hash = asked.secret_hash and s.host = asked.host
        and s.idle_until > asked.now and s.expires_at > asked.now and a.is_active
    limit 1
) as found;

-- name: save_data
-- UPDATE only: a revoked session is never resurrected.
update session set data = $2::text::jsonb, seen_at = $3, idle_until = $4
where secret_hash = $1 and idle_until > $3 and expires_at > $3;

-- name: touch
-- Activity on one host keeps the login alive on all: the portal must know the browser when it goes to a third one,
-- and must still be able to sign it out everywhere.
update session set seen_at = case when id = any($1) then $2 else seen_at end,
    idle_until = least(expires_at, case when remembered then expires_at else $3 end)
where login_id in (select login_id from session where id = any($1) and idle_until > $2)
    and idle_until > $2 and expires_at > $2;

-- name: list
select id, login_id, host, remembered, methods, authenticated_at, created_at, seen_at, idle_until, expires_at, address, user_agent
from session where account_id = $1 and idle_until > $2 and expires_at > $2
order by seen_at desc;

-- name: lock_account
-- Whoever ends sessions holds this lock first: a hand-over that is under way then ends before, and its session is
-- seen, or it begins after, and finds nothing to hand over.
select id from account where id = $1 for no key update;

-- name: lock_active_account
-- No row for an account that is disabled or gone. Logins of one account come one after the other, so that each trims
-- what those before it left; who disables it comes before, or ends the new session. Nor for one that has changed since
-- its password was checked ($2): whoever changed that has ended the sessions there were, and this must not be another.
select id from account where id = $1 and is_active and ($2::integer is null or revision = $2) for no key update;

-- name: lock_account_of_login
select id from account where id in (select account_id from session where login_id = $1) for no key update;

-- name: lock_account_of_session
select id from account where id in (select account_id from session where id = $1) for no key update;

-- name: revoke
delete from session where id = $1 returning id;

-- name: revoke_login
delete from session where login_id = $1 returning id;

-- name: login_of
select login_id from session where id = $1 and account_id = $2;

-- name: revoke_login_of
delete from session where account_id = $1 and login_id = $2 returning id;

-- name: revoke_account
delete from session where account_id = $1 and ($2::uuid is null or login_id <> $2) returning id;

-- name: lock_accounts_of_expired
-- As whoever ends sessions does: of two who each end one of a login's last sessions, neither would see it over. Those
-- whom somebody holds come next time.
select id from account
where id in (select account_id from session where expires_at < $1 or idle_until < $1 limit 500)
order by id for no key update skip locked;

-- name: forget_expired
-- Housekeeping in small batches, after lock_accounts_of_expired.
delete from session where id in (
    select id from session where account_id = any($2) and (expires_at < $1 or idle_until < $1) limit 500
) returning id;

-- name: insert_ticket
insert into login_ticket (ticket_hash, session_id, host, challenge, expires_at) values ($1, $2, $3, $4, $5);

-- name: lock_account_of_ticket
-- One row while there is a ticket. Before the ticket's own row is locked, in the order of those who end sessions.
select account.id
from login_ticket join session on session.id = login_ticket.session_id join account on account.id = session.account_id
where ticket_hash = $1 for share of account;

-- name: redeem_ticket
-- Check and consume in one statement: of two at once, one gets the row. An attempt that does not fit consumes it,
-- too: a ticket that somebody had made out for a browser of theirs ends when it arrives in another one.
with ticket as (
    delete from login_ticket where ticket_hash = $1
    returning session_id, host = $2 and challenge = $3 and expires_at > $4 as fits
)
select s.account_id, s.login_id, s.remembered, s.methods, s.authenticated_at, s.expires_at
from ticket join session s on s.id = ticket.session_id join account a on a.id = s.account_id
where ticket.fits and s.idle_until > $4 and s.expires_at > $4 and a.is_active;

-- name: forget_tickets
delete from login_ticket where expires_at < $1;
