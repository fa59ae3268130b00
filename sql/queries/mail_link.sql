-- name: insert
insert into mail_link (link_hash, purpose, account_id, email, email_key, roles, invited_by, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: find
-- An invitation gives what its sender could give: not any more once they are no administrator.
select purpose, account_id, email, email_key, roles from mail_link
where link_hash = $1 and purpose = any($2) and used_at is null and expires_at > $3 and (invited_by is null
    or exists (select 1 from account where id = invited_by and is_active and 'admin' = any(account.roles)));

-- name: use
-- One row, once.
update mail_link set used_at = $3
where link_hash = $1 and purpose = any($2) and used_at is null and expires_at > $3 and (invited_by is null
    or exists (select 1 from account where id = invited_by and is_active and 'admin' = any(account.roles)))
returning purpose, account_id, email, email_key, roles;

-- name: lock_account
-- Before what an account's links say is read or changed, in the order of whoever changes the account itself.
select id from account where id = $1 for no key update;

-- name: recent_of
-- As recent, of one account, wherever they went.
select count(*) from mail_link where account_id = $1 and purpose = $2 and created_at > $3;

-- name: recent
-- How many of a purpose went to an address since $3: nobody is flooded with them.
select count(*) from mail_link where email_key = $1 and purpose = $2 and created_at > $3;

-- name: void
-- Those that were sent before mean nothing once one was used, or the thing itself is off.
update mail_link set used_at = $3 where account_id = $1 and purpose = any($2) and used_at is null;

-- name: void_invitations
update mail_link set used_at = $2 where email_key = $1 and purpose = 'invite' and used_at is null;

-- name: forget_expired
delete from mail_link where link_hash in (select link_hash from mail_link where expires_at < $1 limit 500);

-- name: begin_change
insert into email_change (account_id, email, email_key, from_confirmed_at, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6)
on conflict (account_id) do update
set email = excluded.email, email_key = excluded.email_key, from_confirmed_at = excluded.from_confirmed_at,
    to_confirmed_at = null, created_at = excluded.created_at, expires_at = excluded.expires_at;

-- name: confirm_change_from
update email_change set from_confirmed_at = $3 where account_id = $1 and email_key = $2 and expires_at > $3
returning email, from_confirmed_at, to_confirmed_at;

-- name: confirm_change_to
update email_change set to_confirmed_at = $3 where account_id = $1 and email_key = $2 and expires_at > $3
returning email, from_confirmed_at, to_confirmed_at;

-- name: waiting_change
select email, email_key, from_confirmed_at, to_confirmed_at from email_change where account_id = $1 and expires_at > $2;

-- name: drop_change
delete from email_change where account_id = $1;

-- name: forget_changes
delete from email_change where account_id in (select account_id from email_change where expires_at < $1 limit 500);
