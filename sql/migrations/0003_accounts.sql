-- What people expect of a login: mail and its links, second factors, devices that are known, tokens that open less.

alter table account
    add column revision integer not null default 1,     -- counts changes, so that two editors notice each other
    add column language text not null default '',       -- of mail and pages; '' follows the browser
    add column password_changed_at timestamptz;

-- Letters that wait to be sent. Sealed under the master key: the links in them are as good as passwords.
create table outgoing_mail (
    id bigint generated always as identity primary key,
    sealed text not null,
    created_at timestamptz not null,
    due_at timestamptz not null,
    expires_at timestamptz not null,    -- not worth sending afterwards: its link is over
    attempts integer not null default 0
);
create index on outgoing_mail (due_at);

-- Single-use links: each proves that somebody reads an address.
create table mail_link (
    link_hash bytea primary key,        -- SHA-256 of its random part
    purpose text not null check (purpose in ('verify', 'reset', 'change_from', 'change_to', 'invite')),
    account_id uuid references account on delete cascade,   -- null: an invitation
    email text not null,                -- the address that it was sent to
    email_key text not null,
    roles text[],                       -- of an invitation: what the new account is given
    invited_by uuid references account on delete cascade,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    check ((account_id is null) = (purpose = 'invite'))
);
create index on mail_link (account_id);
create index on mail_link (invited_by);
create index on mail_link (email_key);
create index on mail_link (expires_at);

-- Registrations whose address had an account already; they answer as unconfirmed accounts do.
create table decoy (
    username_key text primary key,
    password_hash text not null,
    created_at timestamptz not null
);

-- A new address counts once both the old and the new one have agreed.
create table email_change (
    account_id uuid primary key references account on delete cascade,
    email text not null,
    email_key text not null,
    from_confirmed_at timestamptz,
    to_confirmed_at timestamptz,
    created_at timestamptz not null,
    expires_at timestamptz not null
);
create index on email_change (expires_at);

-- Authenticator apps (RFC 6238).
create table totp (
    id uuid primary key default gen_random_uuid(),
    account_id uuid not null references account on delete cascade,
    name text not null,
    sealed_secret text not null,        -- under the master key
    created_at timestamptz not null,
    confirmed_at timestamptz,           -- null: not proven yet, counts for nothing
    last_used_at timestamptz,
    last_step bigint not null default 0 -- the time step of the newest code that was taken: none is taken twice
);
create index on totp (account_id);

create table recovery_code (
    code_hash bytea not null,           -- keyed under the master key: the codes are short
    account_id uuid not null references account on delete cascade,
    created_at timestamptz not null,
    used_at timestamptz,
    primary key (account_id, code_hash)
);

-- Passkeys and security keys (Web Authentication level 3).
create table passkey (
    id uuid primary key default gen_random_uuid(),
    credential_id bytea not null unique,
    account_id uuid not null references account on delete cascade,
    name text not null,
    public_key bytea not null,          -- COSE
    sign_count bigint not null,
    transports text[] not null default '{}',
    aaguid uuid,
    discoverable boolean not null default false,
    backup_eligible boolean not null default false, -- never changes: one that does is another key
    backed_up boolean not null default false,
    created_at timestamptz not null,
    last_used_at timestamptz
);
create index on passkey (account_id);

-- Challenges that came back signed: each is good once. What they are good for stands in themselves, under a MAC.
create table passkey_challenge (
    challenge_hash bytea primary key,
    expires_at timestamptz not null
);
create index on passkey_challenge (expires_at);

-- Logins that have passed their first factor and wait for the second.
create table pending_login (
    secret_hash bytea primary key,
    account_id uuid not null references account on delete cascade,
    revision integer not null,          -- of the account, when the first factor was checked: a change ends the login
    methods text[] not null,
    authenticated_at timestamptz,       -- of whoever is signed in and adds a factor to that; null: a new login
    for_api boolean not null,           -- begun by the JSON API; a page's cannot be ended there, nor the other way
    remembered boolean not null default false,
    must_enrol boolean not null default false,
    attempts integer not null default 0,
    address text not null default '',
    created_at timestamptz not null,
    expires_at timestamptz not null
);
create index on pending_login (account_id);
create index on pending_login (expires_at);

-- Browsers that an account has signed in with before: strangers' failures do not lock them out, a new one is told
-- about by mail, and some need no second factor for a while.
create table known_device (
    id uuid primary key default gen_random_uuid(),
    account_id uuid not null references account on delete cascade,
    secret_hash bytea not null,         -- SHA-256 of the cookie's value
    user_agent text not null default '',
    address text not null default '',
    created_at timestamptz not null,
    seen_at timestamptz not null,
    expires_at timestamptz not null,
    second_factor_until timestamptz,    -- until then its passwords are enough
    unique (account_id, secret_hash)
);
create index on known_device (secret_hash);
create index on known_device (expires_at);

-- API tokens may be kept to some routes and hosts; null is all of them.
alter table api_token
    add column routes text[],
    add column hosts text[];
