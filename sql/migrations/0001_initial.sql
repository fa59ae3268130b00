-- Users, what they sign in with, what signs for them, and the events that revoke it.
-- Times are the gateway's own (it passes them in) unless the column says default.

create table account (
    id uuid primary key default gen_random_uuid(),
    username text not null,
    username_key text not null unique,  -- NFKC and case-folded: one account for every spelling
    email text not null,
    email_key text not null unique,
    name text not null default '',
    password_hash text,                 -- null: cannot sign in by password
    roles text[] not null default '{}',
    is_active boolean not null default true,
    is_verified boolean not null default false,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    last_login_at timestamptz
);

create table session (
    id uuid primary key default gen_random_uuid(),
    secret_hash bytea not null unique,  -- SHA-256 of the cookie's value
    account_id uuid not null references account on delete cascade,
    login_id uuid not null,             -- shared by the portal's session and those handed to other hosts
    host text not null,                 -- the cookie is good on this host only
    data jsonb not null default '{}',
    remembered boolean not null default false,
    methods text[] not null,
    authenticated_at timestamptz not null,
    created_at timestamptz not null,
    seen_at timestamptz not null,
    idle_until timestamptz not null,
    expires_at timestamptz not null,
    address text not null default '',
    user_agent text not null default ''
);
create index on session (account_id);
create index on session (login_id);
create index on session (expires_at);

create table login_ticket (
    ticket_hash bytea primary key,
    session_id uuid not null references session on delete cascade,
    host text not null,
    challenge bytea not null,           -- SHA-256 of the nonce that the browser holds on that host
    expires_at timestamptz not null
);

create table login_failure (
    id bigint generated always as identity primary key,
    subject text not null,              -- 'account:...' or 'address:...'
    failed_at timestamptz not null
);
create index on login_failure (subject, failed_at);
create index on login_failure (failed_at);

create table api_token (
    id text primary key,                -- the public part of the token
    secret_hash bytea not null,
    account_id uuid not null references account on delete cascade,
    name text not null,
    scopes text[] not null default '{}',
    created_at timestamptz not null,
    expires_at timestamptz,
    last_used_at timestamptz
);
create index on api_token (account_id);

create table signing_key (
    kid text primary key,
    algorithm text not null,
    state text not null check (state in ('next', 'active', 'retired')),
    public_jwk jsonb not null,
    private_jwe text not null,          -- the private JWK, encrypted under the master key
    created_at timestamptz not null,
    activated_at timestamptz,
    retired_at timestamptz
);
create unique index on signing_key (state) where state in ('next', 'active');

create table refresh_family (
    id uuid primary key default gen_random_uuid(),
    account_id uuid not null references account on delete cascade,
    client_id text,
    scopes text[],
    authenticated_at timestamptz not null,
    methods text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    revoked_reason text
);
create index on refresh_family (account_id);
create index on refresh_family (expires_at);

create table refresh_token (
    token_hash bytea primary key,       -- SHA-256 of the token's jti
    family_id uuid not null references refresh_family on delete cascade,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz
);
create index on refresh_token (family_id);

-- What takes a right away. The table is the truth; NOTIFY only wakes the readers.
create table event (
    seq bigint generated always as identity primary key,
    xid xid8 not null default pg_current_xact_id(),
    at timestamptz not null default now(),
    topic text not null,
    key text not null
);
create index on event (xid);
