-- name: find
select id, second_factor_until from known_device where secret_hash = $1 and account_id = $2 and expires_at > $3;

-- name: remember
-- Its second factor stays trusted for as long as it was, unless it is to be trusted anew.
insert into known_device (account_id, secret_hash, user_agent, address, created_at, seen_at, expires_at, second_factor_until)
values ($1, $2, $3, $4, $5, $5, $6, $7)
on conflict (account_id, secret_hash) do update
set user_agent = excluded.user_agent, address = excluded.address, seen_at = excluded.seen_at,
    expires_at = excluded.expires_at,
    second_factor_until = coalesce(excluded.second_factor_until, known_device.second_factor_until)
-- The statement looks at the table as it was before: an account's first browser is no news.
returning xmax = 0 and exists (select from known_device where account_id = $1) as is_news;

-- name: move
-- Other accounts that are known by the cookie go along when its value changes.
update known_device set secret_hash = $2 where secret_hash = $1 and account_id <> $3;

-- name: list
select user_agent, address, created_at, seen_at from known_device
where account_id = $1 and expires_at > $2 order by seen_at desc;

-- name: trim
-- Of an account's devices the newest stay.
delete from known_device where account_id = $1 and id not in (
    select id from known_device where account_id = $1 order by seen_at desc limit $2
);

-- name: distrust
update known_device set second_factor_until = null where account_id = $1 and second_factor_until is not null;

-- name: trusted
select count(*) from known_device where account_id = $1 and second_factor_until > $2;

-- name: forget_expired
delete from known_device where id in (select id from known_device where expires_at < $1 limit 500);
