-- Signing in with other identity providers.

-- Who somebody is elsewhere. The authority is its issuer and not our name for it: a name may come to mean another one.
create table external_login (
    authority text not null,
    subject text not null,
    account_id uuid not null references account on delete cascade,
    provider text not null,             -- our name for it, at the last sign-in
    shown text not null default '',     -- what the person is called there
    roles text[] not null default '{}', -- those that the provider's claims gave, and would take away again
    created_at timestamptz not null,
    last_login_at timestamptz,
    primary key (authority, subject)
);
create index on external_login (account_id);

-- Sign-ins that have been sent to a provider: each comes back once, to the browser that it left.
create table federation_start (
    state_hash bytea primary key,       -- SHA-256 of the state
    browser_hash bytea not null,        -- SHA-256 of the browser's cookie
    sealed text not null,               -- nonce, verifier and where to go on: under the master key
    expires_at timestamptz not null
);
create index on federation_start (expires_at);

-- Logins here that rest on one at a provider: signing out there ends them.
create table external_session (
    login_id uuid primary key,          -- of its sessions, on all hosts
    authority text not null,
    subject text not null,
    provider text not null,
    session text not null default ''    -- what the provider calls its login (sid)
);
create index on external_session (authority, subject);
create index on external_session (authority, session) where session <> '';

-- Logout tokens that were taken: each counts once.
create table federation_logout (
    token_hash bytea primary key,       -- SHA-256 of issuer and jti
    expires_at timestamptz not null
);
create index on federation_logout (expires_at);

alter table pending_login add column external text not null default ''; -- what the login will rest on
