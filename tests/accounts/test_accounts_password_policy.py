"""What a new password must be, and what happens when one is changed."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from gateway.accounts.passwords.breach import LeakedPasswords
from gateway.accounts.passwords.policy import PasswordPolicy
from gateway.accounts.passwords.strength import WARNINGS, judged
from gateway.accounts.sessions import Login
from gateway.errors import InvalidInput, LoginRefused
from tests.accounts.conftest import PASSWORD, Office, OfficeWith
from tests.gateways import free_port

NEW = "a new good password"
Answering = Callable[[str, int], None]


async def refused(office: Office, password: str, **options: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        await office.add("ann", password=password, **options)
    (error,) = caught.value.errors
    assert error.field == "password"
    assert password not in error.detail or len(password) < 4
    return error.detail


@pytest.mark.parametrize(
    ("password", "said"),
    [
        pytest.param("short", "at least 8", id="short"),
        pytest.param("x" * 1025, "at most 1024", id="long"),
        pytest.param("password", "tried first", id="common"),
        pytest.param("Password1", "tried first", id="common-in-another-case"),
        pytest.param("annabel1987", "too easy", id="name-and-year"),
        pytest.param("aaaaaaaaaaaa", 'Repeats like "aaa"', id="repeats"),
        pytest.param("ann@example.com", "tried first", id="own-address"),
        pytest.param("asdfghjklasdf", "too easy", id="keyboard"),
        pytest.param("a" * 60_000, "at most 1024", id="huge"),
    ],
)
async def test_an_easy_password_is_refused_with_the_reason(office: Office, password: str, said: str) -> None:
    assert said in await refused(office, password)


@pytest.mark.parametrize("password", [PASSWORD, "  spaces at the ends  ", "пароль из слов", "🔑 четыре 🔑 слова 🔑"])
async def test_a_good_password_is_taken_whatever_it_is_made_of(office: Office, password: str) -> None:
    ann = await office.add("ann", password=password)
    assert (await office.login.authenticate("ann", password, "10.0.0.1")).id == ann.id


async def test_the_configuration_decides(office_with: OfficeWith) -> None:
    lax = office_with(passwords={"min_strength": 0, "reject_common": False})
    await lax.add("ann", password="password")
    strict = office_with(passwords={"min_strength": 4, "min_length": 15})
    assert "15" in await refused(strict, "Tr0ub4dor&3", email="b@example.com")


def test_what_the_judge_says_is_known_to_catalogues() -> None:
    easy = [
        "password",
        "123456",
        "qwerty",
        "zxcvbnm",
        "aaa",
        "abcabcabc",
        "abcdef",
        "1987",
        "12/12/1987",
        "smith",
        "dog",
    ]
    said = {judged(password, ()).warning for password in easy} - {""}
    assert said <= set(WARNINGS)
    assert len(said) > 5


def test_a_long_password_is_judged_quickly_by_its_beginning() -> None:
    assert (
        judged("correct horse battery staple " * 30, ()).score == judged("correct horse battery staple " * 3, ()).score
    )


@pytest.fixture
async def leaks() -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """A list of leaked passwords: its address, and what it answers."""
    said: dict[str, Any] = {"status": 200, "asked": [], "leaked": "hunter2 hunter2 horse"}

    async def answer(request: web.Request) -> web.Response:
        prefix = request.match_info["prefix"]
        said["asked"].append(prefix)
        digest = hashlib.sha1(said["leaked"].encode()).hexdigest().upper()
        lines = ["0" * 35 + ":0", f"{digest[5:]}:42" if digest.startswith(prefix) else "F" * 35 + ":1"]
        return web.Response(status=said["status"], text="\r\n".join(lines))

    app = web.Application()
    app.router.add_get("/range/{prefix}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}/range", said
    await runner.cleanup()


async def test_a_leaked_password_is_refused_and_only_five_digits_are_told(
    office_with: OfficeWith, leaks: tuple[str, dict[str, Any]]
) -> None:
    url, said = leaks
    office = office_with(passwords={"leaked_url": url})
    assert "has leaked" in await refused(office, said["leaked"])
    await office.add("ann")
    assert all(len(prefix) == 5 for prefix in said["asked"])


@pytest.mark.parametrize("required", [False, True])
async def test_a_list_that_does_not_answer(
    office_with: OfficeWith, leaks: tuple[str, dict[str, Any]], required: bool, caplog: pytest.LogCaptureFixture
) -> None:
    url, said = leaks
    said["status"] = 503
    office = office_with(passwords={"leaked_url": url, "leaked_required": required})
    if required:
        assert "cannot be checked" in await refused(office, PASSWORD)
    else:
        await office.add("ann")
    assert "did not answer" in caplog.text
    assert PASSWORD not in caplog.text


async def test_nobody_is_asked_unless_that_is_configured(office: Office) -> None:
    policy = PasswordPolicy(office.settings.passwords, office.hasher)
    assert not isinstance(policy._leaks, LeakedPasswords)


async def test_a_changed_password_ends_every_other_login(office: Office) -> None:
    ann = await office.add("ann")
    here, session = await office.sessions.create(Login(ann.id, "localhost", office.clock.now()))
    app, _ = await office.sessions.create(Login(ann.id, "app", office.clock.now()), continues=session.login_id)
    there, _ = await office.sessions.create(Login(ann.id, "localhost", office.clock.now()))
    await office.devices.remember(
        ann.id, "d" * 43, address="", user_agent="", trusted_for=office.settings.sessions.lifetime
    )
    await office.users.change_password(ann.id, PASSWORD, NEW, session.id)
    assert await office.sessions.find(here, "localhost") is not None
    assert await office.sessions.find(app, "app") is not None
    assert await office.sessions.find(there, "localhost") is None
    assert await office.devices.trusted_count(ann.id) == 0
    assert (await office.login.authenticate("ann", NEW, "10.0.0.1")).id == ann.id
    with pytest.raises(LoginRefused):
        await office.login.authenticate("ann", PASSWORD, "10.0.0.1")


async def test_the_present_password_is_asked_for(office: Office) -> None:
    ann = await office.add("ann")
    with pytest.raises(InvalidInput, match="current"):
        await office.users.change_password(ann.id, "wrong", NEW, None)
