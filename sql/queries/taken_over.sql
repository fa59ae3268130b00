-- name: clear_out
-- What an account was given before anybody had shown to read its address. Passwords, sessions and families end with the
-- new password.
with totps as (delete from totp where account_id = $1),
    codes as (delete from recovery_code where account_id = $1),
    keys as (delete from passkey where account_id = $1),
    tokens as (delete from api_token where account_id = $1),
    logins as (delete from external_login where account_id = $1),
    consents as (delete from oauth_consent where account_id = $1)
delete from known_device where account_id = $1;
