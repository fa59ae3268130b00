"""Basic authentication, as programs use it: over real sockets, with real accounts."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.changes import Changes
from gateway.accounts.htpasswd import read_htpasswd
from gateway.accounts.passwords.hasher import PasswordHasher
from gateway.errors import CredentialRejected
from gateway.identity.basic import NameAndPassword, read_basic
from tests.fake_clock import RunningClock
from tests.gateways import BROWSER, PASSWORD, Answer, GatewayFactory, Running, cable, echo, field_of, gateway_factory

__all__ = ["cable", "echo", "gateway_factory"]

ROUTES = """
routes:
  - {{name: dav, match: {{host: localhost, path: /dav/**}}, upstream: '{echo}', credentials: [basic]}}
  - {{name: both, match: {{host: localhost, path: /both/**}}, upstream: '{echo}',
      credentials: [session, basic, api_token]}}
  - {{name: kept, match: {{host: localhost, path: /kept/**}}, upstream: '{echo}', credentials: [basic],
      identity: {{pass_authorization: true}}}}
  - {{name: none, match: {{host: localhost, path: /none/**}}, upstream: '{echo}'}}
  - {{name: open, match: {{host: localhost, path: /open/**}}, upstream: '{echo}', access: public}}
  - {{name: mfa, match: {{host: localhost, path: /mfa/**}}, upstream: '{echo}', credentials: [basic],
      require: {{mfa: true}}}}
"""


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


async def started(
    gateway_factory: GatewayFactory, echo: str, more: str = "", clock: RunningClock | None = None
) -> Running:
    return await gateway_factory(ROUTES.format(echo=echo) + more, clock=clock)


async def ask(running: Running, name: str, password: str = PASSWORD, path: str = "/dav/x", **headers: str) -> Answer:
    return await running.get(path, headers={**basic(name, password), **headers})


async def test_a_password_signs_in_and_stays_here(gateway_factory: GatewayFactory, echo: str) -> None:
    running = await started(gateway_factory, echo)
    await running.user("änn", "user")
    for name in ("änn", "ÄNN", "änn@example.com"):
        answer = await ask(running, name)
        assert answer.status == 200
        assert field_of(answer, "X-Forwarded-User") == ["%C3%A4nn"]
        assert field_of(answer, "Authorization") == []
    assert field_of(await ask(running, "änn", path="/kept/x"), "Authorization") == [basic("änn")["Authorization"]]


@pytest.mark.parametrize(
    "value",
    [
        "Basic",
        "Basic ",
        "Basic !",
        "Basic YW5u",
        "Basic " + base64.b64encode(b":secret").decode(),
        "Basic " + base64.b64encode(b"ann:\xff").decode(),
        "Basic " + base64.b64encode(b"ann:a\0b").decode(),
        "Basic " + base64.b64encode(b"ann:a\nb").decode(),
        "Basic " + base64.b64encode(b"ann:wrong").decode(),
        "Basic " + base64.b64encode(b"nobody:correct horse battery").decode(),
        "Basic " + "QUFB" * 4000,
    ],
)
async def test_bad_ones_are_refused_with_the_way_to_ask(gateway_factory: GatewayFactory, echo: str, value: str) -> None:
    running = await started(gateway_factory, echo)
    await running.user("ann")
    for path in ("/dav/x", "/both/x"):
        answer = await running.get(path, headers={"Authorization": value})
        assert answer.status == 401
        assert 'Basic realm="gateway", charset="UTF-8"' in answer.headers["WWW-Authenticate"]


async def test_where_it_is_not_listed_it_is_not_looked_at(gateway_factory: GatewayFactory, echo: str) -> None:
    running = await started(gateway_factory, echo)
    await running.user("ann")
    answer = await ask(running, "ann", path="/none/x")
    assert answer.status == 401
    assert "Basic" not in answer.headers["WWW-Authenticate"]
    # An application behind a public route may have its own.
    assert field_of(await ask(running, "ann", path="/open/x"), "Authorization") == [basic("ann")["Authorization"]]


async def test_a_browser_is_asked_by_its_own_window_only_where_nothing_else_counts(
    gateway_factory: GatewayFactory, echo: str
) -> None:
    running = await started(gateway_factory, echo)
    asked = await running.get("/dav/x", headers=BROWSER)
    assert asked.status == 401
    assert "Basic" in asked.headers["WWW-Authenticate"]
    assert (await running.get("/both/x", headers=BROWSER)).location.startswith(f"{running.origin}/login?rd=")


async def test_an_api_token_stands_for_the_password(gateway_factory: GatewayFactory, echo: str) -> None:
    running = await started(gateway_factory, echo)
    ann = await running.user("ann")
    token_id, text = await running.api_token(ann, "read")
    assert (await ask(running, "ann", text)).status == 200
    assert (await ask(running, "ann@example.com", text)).status == 200
    assert (await ask(running, "bob", text)).status == 401
    assert (await ask(running, "ann", text[:-1] + ("A" if text[-1] != "A" else "B"))).status == 401
    await running.gateway.accounts.api_tokens.revoke(ann.id, token_id)
    assert (await ask(running, "ann", text)).status == 401


async def test_who_has_a_second_factor_needs_a_token_for_their_programs(
    gateway_factory: GatewayFactory, echo: str
) -> None:
    running = await started(gateway_factory, echo, "second_factors: {required_roles: [admin]}")
    root = await running.user("root", "admin")
    assert (await ask(running, "root")).status == 401
    _, text = await running.api_token(root)
    assert (await ask(running, "root", text)).status == 200


async def test_a_password_is_one_factor_and_a_token_is_no_sign_in(gateway_factory: GatewayFactory, echo: str) -> None:
    running = await started(gateway_factory, echo)
    ann = await running.user("ann")
    _, text = await running.api_token(ann)
    for password in (PASSWORD, text):
        assert (await ask(running, "ann", password, "/mfa/x")).status == 403


async def test_other_proxies_are_told_the_same(gateway_factory: GatewayFactory, echo: str) -> None:
    running = await started(gateway_factory, echo, "server: {internal_listen: null, trusted_proxies: [127.0.0.1]}")
    await running.user("ann")
    asked = {"X-Original-URL": f"{running.origin}/dav/x", "X-Original-Method": "PROPFIND"}
    refused = await running.get("/.gateway/authz/nginx", headers=asked)
    assert refused.status == 401
    assert 'Basic realm="gateway", charset="UTF-8"' in refused.headers["WWW-Authenticate"]
    allowed = await running.get("/.gateway/authz/nginx", headers={**asked, **basic("ann")})
    assert (allowed.status, allowed.headers["X-Forwarded-User"]) == (200, "ann")


async def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count how often a password is worked out."""
    worked: list[str] = []
    verify = PasswordHasher.verify

    async def counting(self: PasswordHasher, password: str, stored: str | None) -> tuple[bool, bool]:
        worked.append(password)
        return await verify(self, password, stored)

    monkeypatch.setattr(PasswordHasher, "verify", counting)
    return worked


async def test_a_password_is_worked_out_once(
    gateway_factory: GatewayFactory, echo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = RunningClock()
    running = await started(gateway_factory, echo, clock=clock)
    ann = await running.user("ann")
    worked = await counted(monkeypatch)
    answers = await asyncio.gather(*(ask(running, "ann") for _ in range(30)))
    assert {answer.status for answer in answers} == {200}
    clock.advance(timedelta(minutes=5))
    assert (await ask(running, "ann")).status == 200
    assert len(worked) == 1
    assert (await ask(running, "ann", PASSWORD + "x")).status == 401
    assert len(worked) == 2
    await running.gateway.accounts.users.change(ann.id, Changes(password="another good password"))
    assert (await ask(running, "ann")).status == 401
    assert (await ask(running, "ann", "another good password")).status == 200


async def test_what_ends_an_account_ends_it_here(gateway_factory: GatewayFactory, echo: str) -> None:
    running = await started(gateway_factory, echo)
    ann = await running.user("ann")
    assert (await ask(running, "ann")).status == 200
    await running.gateway.accounts.users.change(ann.id, Changes(is_active=False))
    assert (await ask(running, "ann")).status in {401, 403}
    await running.gateway.accounts.users.change(ann.id, Changes(is_active=True))
    assert (await ask(running, "ann")).status == 200
    await running.gateway.accounts.users.delete(ann.id)
    assert (await ask(running, "ann")).status == 401


async def test_guesses_are_counted_with_those_at_the_login_page(gateway_factory: GatewayFactory, echo: str) -> None:
    running = await started(gateway_factory, echo, "login: {max_failures: 3}")
    await running.user("ann")
    await running.user("bob")
    statuses = [(await ask(running, "ann", f"wrong {number}")).status for number in range(4)]
    assert statuses == [401, 401, 401, 429]
    login = await running.post("/api/v1/users/login", {"username": "ann", "password": PASSWORD})
    assert login.status == 429
    assert (await ask(running, "ann")).status == 429
    assert (await ask(running, "bob")).status == 200


async def test_strangers_do_not_lock_out_a_program_that_signs_in_as_ever(
    gateway_factory: GatewayFactory, echo: str
) -> None:
    clock = RunningClock()
    running = await started(gateway_factory, echo, "login: {max_failures: 3}", clock)
    await running.user("ann")
    assert (await ask(running, "ann")).status == 200
    for number in range(4):
        await ask(running, "ann", f"wrong {number}")
    clock.advance(timedelta(minutes=2))
    assert (await ask(running, "ann")).status == 200
    assert (await ask(running, "ann", "wrong")).status == 429


HASHES = {
    "bcrypt": ("-nbB", "-C", "5"),
    "apr1": ("-nbm",),
    "sha": ("-nbs",),
}


@pytest.mark.skipif(shutil.which("htpasswd") is None, reason="htpasswd is not installed")
@pytest.mark.parametrize("options", HASHES.values(), ids=HASHES)
async def test_apache_s_files_are_read(
    gateway_factory: GatewayFactory, echo: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    command = ["htpasswd", *options, "old", "pass word"]
    line = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
    file = tmp_path / "htpasswd"
    file.write_text(line)
    running = await started(gateway_factory, echo, f"htpasswd: {{file: {file}, roles: [legacy]}}")
    answer = await ask(running, "old", "pass word")
    assert field_of(answer, "X-Forwarded-User") == ["htpasswd:old"]
    assert field_of(answer, "X-Forwarded-Groups") == ["legacy"]
    assert (await ask(running, "old", "pass wor")).status == 401
    assert (await ask(running, "OLD", "pass word")).status == 401


SHA_OF_SECRET = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="


async def test_a_file_that_changes_counts_and_one_that_is_gone_opens_nothing(
    gateway_factory: GatewayFactory, echo: str, tmp_path: Path
) -> None:
    clock = RunningClock()
    file = tmp_path / "htpasswd"
    file.write_text(f"old:{SHA_OF_SECRET}\n# a comment\n\n")
    running = await started(gateway_factory, echo, f"htpasswd: {{file: {file}}}", clock)

    async def status(name: str) -> int:
        clock.advance(timedelta(minutes=2))
        return (await ask(running, name, "secret")).status

    assert [await status("old"), await status("new")] == [200, 401]
    file.write_text(f"new:{SHA_OF_SECRET}\n")
    assert [await status("old"), await status("new")] == [401, 200]
    file.write_text("new:plain text\n")
    os.utime(file, ns=(1, 1))
    assert await status("new") == 200
    file.unlink()
    assert await status("new") == 401


async def test_names_of_the_file_are_no_accounts(gateway_factory: GatewayFactory, echo: str, tmp_path: Path) -> None:
    """Whoever registers under a name of the file is not let in by it, and is told upstream by another name."""
    file = tmp_path / "htpasswd"
    file.write_text(f"ann:{SHA_OF_SECRET}\n")
    running = await started(gateway_factory, echo, f"htpasswd: {{file: {file}}}")
    await running.user("ann", "admin")
    answer = await ask(running, "ann", "secret")
    assert field_of(answer, "X-Forwarded-User") == ["htpasswd:ann"]
    assert field_of(answer, "X-Forwarded-Groups") == []
    assert (await ask(running, "ann")).status == 401
    assert field_of(await ask(running, "ann@example.com"), "X-Forwarded-User") == ["ann"]


async def test_guesses_at_names_of_the_file_are_counted(
    gateway_factory: GatewayFactory, echo: str, tmp_path: Path
) -> None:
    file = tmp_path / "htpasswd"
    file.write_text(f"old:{SHA_OF_SECRET}\n")
    running = await started(gateway_factory, echo, f"htpasswd: {{file: {file}}}\nlogin: {{max_failures: 3}}")
    statuses = [(await ask(running, "old", f"wrong {number}")).status for number in range(4)]
    assert statuses == [401, 401, 401, 429]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ann", "line 1: must be NAME:HASH"),
        (b"#\n:{SHA}x", "line 2: must be NAME:HASH"),
        (b"ann:plain", "line 1: is no hash that is known"),
        (b"ann:$2y$31$" + b"a" * 53, "line 1: costs more than a login may"),
        (f"ann:{SHA_OF_SECRET}\nann:{SHA_OF_SECRET}".encode(), "line 2: the name is there twice"),
        (b"\xff:x", "utf-8"),
        (b"a" * 5_000_000, "more than"),
    ],
)
def test_a_bad_line_is_named_without_what_stands_there(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        read_htpasswd(content)
    assert "plain" not in str(refused.value)


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: base64.b64encode(raw).decode()))
def test_nothing_but_a_refusal_comes_of_what_is_none(text: str) -> None:
    try:
        given_pair = read_basic(text)
    except CredentialRejected:
        return
    assert base64.b64decode(text).decode() == f"{given_pair.name}:{given_pair.password}"
    assert given_pair.name


@given(
    st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters=":"), min_size=1, max_size=50),
    st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=50),
)
def test_whatever_is_written_is_read(name: str, password: str) -> None:
    text = base64.b64encode(f"{name}:{password}".encode()).decode()
    assert read_basic(text) == NameAndPassword(name, password)
    assert repr(read_basic(text)) == "NameAndPassword(...)"
