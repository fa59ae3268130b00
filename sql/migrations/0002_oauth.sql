-- What makes the gateway an OAuth 2.1 and OpenID Connect provider: clients, what they were granted, and by whom.

create table oauth_client (
    id text primary key,                -- client_id
    name text not null,
    owner_id uuid references account on delete cascade,  -- null: made by an administrator, or by the program itself
    metadata jsonb not null,            -- RFC 7591 section 2, as checked when it was registered
    first_party boolean not null default false,     -- people are not asked for their consent
    requires_pkce boolean not null default true,
    may_introspect boolean not null default false,  -- about tokens of other clients
    opens_routes boolean not null default false,    -- tokens without a resource of their own open ordinary routes
    is_active boolean not null default true,
    registration_hash bytea,            -- SHA-256 of the registration access token (RFC 7592)
    created_at timestamptz not null,
    updated_at timestamptz not null
);
create index on oauth_client (owner_id);

create table oauth_client_secret (
    id uuid primary key default gen_random_uuid(),
    client_id text not null references oauth_client on delete cascade,
    secret_hash bytea not null,         -- SHA-256: the secrets are 256 random bits
    created_at timestamptz not null,
    expires_at timestamptz              -- null: until it is rotated
);
create index on oauth_client_secret (client_id);

-- A family is what one person granted one client at one moment; it stands before its first token.
alter table refresh_family
    add foreign key (client_id) references oauth_client on delete cascade,
    add column login_id uuid,           -- the browser login that it was granted in
    add column offline boolean not null default true,   -- false: ends with that login
    add column resources text[] not null default '{}',  -- RFC 8707, as granted
    add column claims jsonb,            -- the claims parameter (OpenID Connect Core 1.0 section 5.5)
    add column acr text,
    add column used_at timestamptz;     -- the last time that tokens were issued from it
create index on refresh_family (client_id);
create index on refresh_family (login_id);

create table authorization_code (
    code_hash bytea primary key,
    client_id text not null references oauth_client on delete cascade,
    family_id uuid not null references refresh_family on delete cascade,
    redirect_uri text not null,
    redirect_uri_given boolean not null,    -- whether the token request has to repeat it
    nonce text,
    code_challenge text,                -- always S256
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz
);
create index on authorization_code (family_id);
create index on authorization_code (expires_at);

create table oauth_consent (
    account_id uuid not null references account on delete cascade,
    client_id text not null references oauth_client on delete cascade,
    scopes text[] not null,
    resources text[] not null default '{}',
    claims text[] not null default '{}',    -- asked for by name, beyond the scopes
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (account_id, client_id)
);
create index on oauth_consent (client_id);

-- Parameters of an authorization request that waits: pushed by a client (RFC 9126), or for someone to sign in or agree.
create table authorization_request (
    uri_hash bytea primary key,         -- SHA-256 of the random part of its request_uri
    client_id text not null references oauth_client on delete cascade,
    parameters jsonb not null,
    pushed boolean not null,
    consented_by uuid references account on delete cascade,
    created_at timestamptz not null,
    expires_at timestamptz not null
);
create index on authorization_request (expires_at);

create table device_code (
    device_hash bytea primary key,
    user_code text not null unique,
    client_id text not null references oauth_client on delete cascade,
    scopes text[] not null,
    resources text[] not null default '{}',
    created_at timestamptz not null,
    expires_at timestamptz not null,
    interval_seconds integer not null,
    polled_at timestamptz,
    decision text check (decision in ('approved', 'denied')),
    family_id uuid references refresh_family on delete cascade,  -- once approved
    used_at timestamptz
);
create index on device_code (expires_at);

-- Access tokens of clients that stand for themselves, and so have no family to end.
create table revoked_token (
    jti_hash bytea primary key,
    expires_at timestamptz not null
);
create index on revoked_token (expires_at);

-- jti of client assertions (RFC 7523 section 3): each is good once.
create table client_assertion (
    jti_hash bytea primary key,         -- of client and jti together
    expires_at timestamptz not null
);
create index on client_assertion (expires_at);

-- Back-channel logouts that are to be told to clients.
create table logout_notice (
    id bigint generated always as identity primary key,
    client_id text not null references oauth_client on delete cascade,
    account_id uuid not null,           -- no reference: the account may be gone by now
    login_id uuid,
    created_at timestamptz not null,
    due_at timestamptz not null,
    attempts integer not null default 0
);
create index on logout_notice (due_at);

-- One next and one active key for each algorithm: ID tokens are signed as each client expects.
drop index signing_key_state_idx;
create unique index on signing_key (state, algorithm) where state in ('next', 'active');

-- A login is over when no session of it is left, by whichever way they went: signed out, revoked, expired, crowded out,
-- the account gone. What was granted for its time only ends with it, and clients that want to hear of it are told.
create function end_granted_with_login() returns trigger language plpgsql as $$
begin
    with ended as (
        select distinct gone.login_id from gone
        where not exists (select 1 from session s where s.login_id = gone.login_id)
    ), revoked as (
        update refresh_family f set revoked_at = now(), revoked_reason = 'login ended'
        from ended
        where f.login_id = ended.login_id and not f.offline and f.client_id is not null and f.revoked_at is null
        returning f.id
    ), noted as (
        insert into logout_notice (client_id, account_id, login_id, created_at, due_at)
        select distinct f.client_id, f.account_id, f.login_id, now(), now()
        from refresh_family f join ended on ended.login_id = f.login_id join oauth_client c on c.id = f.client_id
        where c.metadata ? 'backchannel_logout_uri' and c.is_active
        returning id
    )
    insert into event (topic, key)
    select 'family', id::text from revoked union all select 'logout', min(id)::text from noted having count(*) > 0;
    if found then
        perform pg_notify('gateway', '');
    end if;
    return null;
end
$$;

create trigger end_granted_with_login after delete on session
    referencing old table as gone for each statement execute function end_granted_with_login();
