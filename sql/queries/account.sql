-- name: insert
insert into account (username, username_key, email, email_key, name, password_hash, roles, is_active, is_verified, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
returning id, username, email, name, roles, is_active, is_verified, created_at, updated_at, last_login_at, revision, language;

-- name: by_id
select id, username, email, name, roles, is_active, is_verified, created_at, updated_at, last_login_at, revision, language
from account where id = $1;

-- name: by_username
select id, username, email, name, roles, is_active, is_verified, created_at, updated_at, last_login_at, revision, language
from account where username_key = $1;

-- name: by_email
select id, username, email, name, roles, is_active, is_verified, created_at, updated_at, last_login_at, revision, language
from account where email_key = $1;

-- name: credentials_by_login
-- One row at most: a name that contains @ is its owner's own address.
select id, username, email, name, roles, is_active, is_verified, created_at, updated_at, last_login_at, revision, language, password_hash
from account where username_key = $1 or email_key = $1
order by username_key = $1 desc
limit 1;

-- name: page
select id, username, email, name, roles, is_active, is_verified, created_at, updated_at, last_login_at, revision, language
from account
where $3 = '' or position($3 in username_key) > 0 or position($3 in email_key) > 0
order by
    case $4::text when 'username' then username_key when 'email' then email_key end,
    case $4::text when '-username' then username_key when '-email' then email_key end desc,
    case $4::text when 'created_at' then created_at when 'updated_at' then updated_at when 'last_login' then last_login_at
    end nulls first,
    case $4::text when '-created_at' then created_at when '-updated_at' then updated_at
        when '-last_login' then last_login_at
    end desc nulls last,
    username_key
limit $1 offset $2;

-- name: count
select count(*) from account where $1 = '' or position($1 in username_key) > 0 or position($1 in email_key) > 0;

-- name: lock
select id, username, email, name, roles, is_active, is_verified, created_at, updated_at, last_login_at, revision, language, password_hash
from account where id = $1 for update;

-- name: password_of
select password_hash from account where id = $1;

-- name: lock_admins
-- Serializes changes that could remove the last administrator.
select id from account where is_active and 'admin' = any(roles) order by id for update;

-- name: update
update account
set username = $2, username_key = $3, email = $4, email_key = $5, name = $6, roles = $7,
    is_active = $8, is_verified = $9, password_hash = $10, updated_at = $11, revision = revision + 1,
    password_changed_at = case when password_hash is distinct from $10 then $11 else password_changed_at end,
    language = $12
where id = $1
returning id, username, email, name, roles, is_active, is_verified, created_at, updated_at, last_login_at, revision, language;

-- name: rehash
-- Only if the password has not changed meanwhile.
update account set password_hash = $3 where id = $1 and password_hash = $2;

-- name: logged_in
update account set last_login_at = $2 where id = $1;

-- name: password_held
-- No row when the password was changed or the account disabled while it was being checked.
update account set last_login_at = $2 where id = $1 and password_hash = $3 and is_active;

-- name: delete
delete from account where id = $1;

-- name: roles
select distinct unnest(roles) as role from account order by role;

-- name: any
select exists (select 1 from account);

-- name: lock_families_of_clients
-- Before the clients themselves, in the order of those who end logins.
select 1 from refresh_family f join oauth_client c on c.id = f.client_id where c.owner_id = $1 for no key update of f;

-- name: tell_of_clients
-- A client is good while its owner is: whoever remembers one has to ask anew. The NOTIFY comes with the account's event.
insert into event (topic, key) select 'client', id from oauth_client where owner_id = $1;

-- name: taken
select username_key as key from account where username_key = any($1)
union select email_key from account where email_key = any($1);
