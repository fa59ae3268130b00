"""Users: one account for every spelling of a name, and no right that outlives its being taken away."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.changes import Changes
from gateway.accounts.sessions import Login
from gateway.accounts.user import check_names, check_profile, name_key
from gateway.errors import InvalidInput, NotFound
from tests.accounts.conftest import PASSWORD, Office, OfficeWith

NOBODY = "00000000-0000-0000-0000-000000000000"


def fields_of(error: pytest.ExceptionInfo[InvalidInput]) -> list[str]:
    return [each.field for each in error.value.errors]


async def test_a_user_is_found_by_id_and_by_any_spelling_of_the_name(office: Office) -> None:
    ann = await office.add("Ann", name="Ann Example", roles=["b", "a", "b"])
    assert (ann.username, ann.email, ann.name, ann.roles) == ("Ann", "ann@example.com", "Ann Example", ("a", "b"))
    for reference in (ann.id, ann.id.upper(), "ann", "ANN", "\uff21nn"):
        assert await office.users.find(reference) == ann
    for reference in ("", "bob", NOBODY, "ann\0", "ann@example.com", "\ud800", "x" * 5000, "{" + ann.id[1:]):
        assert await office.users.find(reference) is None
    with pytest.raises(NotFound):
        await office.users.get("bob")


async def test_applications_are_told_one_form_of_a_name(office: Office) -> None:
    ann = await office.add("\uff21nn", email="ann@example.com")
    assert ann.username == "Ann"
    renamed = await office.users.change(ann.id, Changes(username="\uff22ob"))
    assert (renamed.username, (await office.users.get("bob")).username) == ("Bob", "Bob")


async def test_without_roles_a_user_gets_the_default_ones(office_with: OfficeWith) -> None:
    office = office_with(registration={"default_roles": ["reader"]})
    assert (await office.add("ann")).roles == ("reader",)
    assert (await office.add("bob", roles=[])).roles == ()
    assert await office.users.roles() == ["admin", "reader"]


@pytest.mark.parametrize("username", ["ann", "\u00e5sa", "\u5f20\u4f1f", "a", "x" * 64, "a.b-c_d+e", "7", "_x"])
def test_names_that_are_allowed(username: str) -> None:
    assert check_names(username, "ann@example.com") == []


@pytest.mark.parametrize(
    "username",
    ["", " ", "a b", " ann", "ann ", "x" * 65, ".a", "-a", "+a", "ann@", "ann@example.com", "a/b", "a\\b", "a\0",
     "a\n", "ann\u200b", "\u202eann", "a,b", "a:b", "a%b", "<b>", "a'b", "\ud800", "ann\u0301\u0301\u200d"],
    ids=ascii,
)  # fmt: skip
def test_names_that_are_refused(username: str) -> None:
    assert [error.field for error in check_names(username, "other@example.com")] == ["username"]


def test_a_name_with_an_at_sign_is_ones_own_address() -> None:
    assert check_names("ann@example.com", "Ann@Example.com") == []
    assert check_names("bob@example.com", "ann@example.com")
    assert check_names(" ann@example.com", "ann@example.com")


def test_no_username_has_a_colon_however_it_is_written() -> None:
    """Names of programs and of other issuers' people have one: an account by such a name would be taken for them."""
    for name in ("idp:ann@example.com", "idp\uff1aann@example.com", "client\ufe55ann@example.com", "idp\uff1aann"):
        assert check_names(name, name)
        assert check_names(name, "ann@example.com")


@pytest.mark.parametrize("email", ["a@b.c", "ann.b+c@mail.example.com", "\u00e5sa@example.com", "a@localhost"])
def test_addresses_that_are_allowed(email: str) -> None:
    assert check_names("ann", email) == []


@pytest.mark.parametrize(
    "email",
    ["", "ann", "@example.com", "ann@", "a@evil@corp.com", "a b@c.d", "a@b .c", "a@-b.c", "a@b.c.", "a@b..c", "a@.b",
     "<a@b.c>", "a@b.c,d@e.f", "a@b.c\n", "a\r\n@b.c", "a\0@b.c", '"a"@b.c', "a" * 65 + "@b.c", "a@" + "b" * 260,
     "\ud800@b.c", "a\u202e@b.c", "a\u200b@b.c", "a\x85@b.c", "a\u00a0@b.c",
     "=?utf-8?q?eve=40evil.example=2C=20?=ann@b.c", "=?utf-8?q??=@b.c"],
    ids=ascii,
)  # fmt: skip
def test_addresses_that_are_refused(email: str) -> None:
    assert [error.field for error in check_names("ann", email)] == ["email"]


@pytest.mark.parametrize("name", ["a\n", "\0", "x" * 201, "\ud800", "a\x85b"], ids=ascii)
def test_display_names_that_are_refused(name: str) -> None:
    assert [error.field for error in check_profile(name, [])] == ["name"]
    assert check_profile("Ann \u00c5 \u5f20, the 1st", []) == []


@pytest.mark.parametrize("role", ["", " ", "a ", " a", "a\n", "a\0", "x" * 101, "\ud800", "a\x7f", "a\x85"], ids=ascii)
def test_roles_that_are_refused(role: str) -> None:
    assert [error.field for error in check_profile("", ["user", role])] == ["roles"]
    assert check_profile("", ["user", "a b", "x,y", "\u00e5"]) == []


@given(st.text(max_size=30))
def test_a_spelling_of_a_spelling_is_the_same_name(text: str) -> None:
    assert name_key(name_key(text)) == name_key(text)


@given(st.text(max_size=20), st.text(max_size=20))
def test_nothing_but_words_comes_out_of_noise(username: str, email: str) -> None:
    check_names(username, f"{email}@example.com")
    check_profile(username, [email])


@pytest.mark.parametrize("length", [0, 7, 1025])
async def test_a_password_has_a_length(office_with: OfficeWith, length: int) -> None:
    office = office_with(passwords={"min_strength": 0})
    with pytest.raises(InvalidInput) as caught:
        await office.add("ann", password="x" * length)
    assert fields_of(caught) == ["password"]
    assert await office.users.is_empty()
    await office.add("ann", password="x" * 8)
    await office.add("bob", password=" " * 1024)


async def test_everything_that_is_wrong_is_said_at_once(office: Office) -> None:
    with pytest.raises(InvalidInput) as caught:
        await office.users.create("a b", "nowhere", "short", name="\n", roles=[""])
    assert fields_of(caught) == ["username", "email", "name", "roles", "password"]
    assert "short" not in str(caught.value)


@pytest.mark.parametrize("username", ["ann", "ANN", "\uff41nn", "aNn"])
async def test_a_name_is_taken_in_every_spelling(office: Office, username: str) -> None:
    await office.add("Ann", email="one@example.com")
    with pytest.raises(InvalidInput) as caught:
        await office.add(username, email="two@example.com")
    assert fields_of(caught) == ["username"]


async def test_an_address_is_taken_in_every_spelling(office: Office) -> None:
    await office.add("ann", email="ann@example.com")
    bob = await office.add("bob")
    with pytest.raises(InvalidInput) as caught:
        await office.add("carl", email="ANN@Example.COM")
    assert fields_of(caught) == ["email"]
    with pytest.raises(InvalidInput) as caught:
        await office.users.change(bob.id, Changes(email="Ann@example.com"))
    assert fields_of(caught) == ["email"]


async def test_one_of_many_registrations_at_once_gets_the_name(office: Office) -> None:
    answers = await asyncio.gather(
        *(office.add("ann", email=f"a{number}@example.com", password=None) for number in range(8)),
        return_exceptions=True,
    )
    assert sum(not isinstance(answer, InvalidInput) for answer in answers) == 1


async def test_changes_leave_alone_what_they_do_not_name(office: Office) -> None:
    ann = await office.add("ann", name="Ann", roles=["user"])
    office.clock.advance(60)
    changed = await office.users.change(ann.id, Changes(name="Annie"))
    assert (changed.name, changed.username, changed.email, changed.roles) == ("Annie", "ann", ann.email, ("user",))
    assert changed.updated_at == ann.updated_at + timedelta(minutes=1)
    assert (await office.login.authenticate("ann", PASSWORD, "10.0.0.1")).id == ann.id


@pytest.mark.parametrize(
    "changes",
    [Changes(username="a b"), Changes(email="x"), Changes(name="\0"), Changes(roles=[""]), Changes(password="short")],
    ids=repr,
)
async def test_changes_are_checked_as_new_users_are(office: Office, changes: Changes) -> None:
    ann = await office.add("ann")
    with pytest.raises(InvalidInput):
        await office.users.change(ann.id, changes)
    assert await office.users.find("ann") == ann
    assert await office.events() == []


def test_a_password_shows_in_no_repr() -> None:
    assert PASSWORD not in repr(Changes(password=PASSWORD))


@pytest.mark.parametrize(
    "changes",
    [
        Changes(roles=[]),
        Changes(roles=["user", "more"]),
        Changes(is_active=False),
        Changes(password="another one of these"),
        Changes(username="anna"),
        Changes(is_verified=False),
    ],
    ids=lambda changes: next(name for name in changes.__slots__ if getattr(changes, name) is not None),
)
async def test_a_change_tells_all_processes_in_its_own_transaction(office: Office, changes: Changes) -> None:
    ann = await office.add("ann", is_verified=True)
    await office.add("root", roles=["admin"])
    await office.users.change(ann.id, changes)
    assert ("account", ann.id) in await office.events()
    row = await office.database.fetchrow(
        "select account.xmin::text as changed, event.xmin::text as told from account, event where account.id = $1::uuid"
        " and event.key = $1::text",
        ann.id,
    )
    assert row is not None
    assert row["changed"] == row["told"]


async def test_a_new_password_ends_sessions_and_tokens(office: Office) -> None:
    await _ends_everything(office, Changes(password="another one of these"))


async def test_a_disabled_account_has_neither_sessions_nor_tokens(office: Office) -> None:
    await _ends_everything(office, Changes(is_active=False))


async def _ends_everything(office: Office, changes: Changes) -> None:
    ann, bob = await office.add("ann"), await office.add("bob")
    secrets = {}
    for user in (ann, bob):
        secrets[user], _ = await office.sessions.create(Login(user.id, "h", office.clock.now()))
        await office.database.execute(
            "insert into refresh_family (account_id, authenticated_at, methods, created_at, expires_at)"
            " values ($1::text::uuid, now(), '{}', now(), now())",
            user.id,
        )
    await office.users.change(ann.id, changes)
    assert await office.sessions.find(secrets[ann], "h") is None
    assert await office.sessions.find(secrets[bob], "h") is not None
    rows = await office.database.fetch("select account_id::text as id from refresh_family where revoked_at is null")
    assert [row["id"] for row in rows] == [bob.id]
    assert sorted(topic for topic, _ in await office.events()) == ["account", "family", "session"]


async def test_deleting_a_user_deletes_what_they_held_and_says_so(office: Office) -> None:
    ann = await office.add("ann")
    secret, session = await office.sessions.create(Login(ann.id, "h", office.clock.now()))
    _, token = await office.api_tokens.create(ann.id, "ci")
    await office.users.delete(ann.id)
    assert await office.sessions.find(secret, "h") is None
    assert await office.api_tokens.find(token) is None
    assert await office.events() == [("session", session.id), ("account", ann.id)]
    with pytest.raises(NotFound):
        await office.users.delete(ann.id)
    with pytest.raises(NotFound):
        await office.users.change(ann.id, Changes(name="x"))


@pytest.mark.parametrize("how", [Changes(roles=["user"]), Changes(is_active=False), None], ids=repr)
async def test_the_last_active_administrator_stays(office: Office, how: Changes | None) -> None:
    root = await office.add("root", roles=["admin"])
    idle = await office.add("idle", roles=["admin"])
    await office.users.change(idle.id, Changes(is_active=False))

    async def remove() -> Any:
        return await (office.users.change(root.id, how) if how else office.users.delete(root.id))

    with pytest.raises(InvalidInput, match="last active administrator"):
        await remove()
    assert await office.users.find("root") == root
    await office.users.change(idle.id, Changes(is_active=True))
    await remove()


async def test_two_administrators_cannot_remove_each_other_at_once(office: Office) -> None:
    for number in range(5):
        one = await office.add(f"one{number}", roles=["admin"])
        two = await office.add(f"two{number}", roles=["admin"])
        answers = await asyncio.gather(
            office.users.change(one.id, Changes(roles=[])), office.users.delete(two.id), return_exceptions=True
        )
        assert sum(isinstance(answer, InvalidInput) for answer in answers) == 1, answers
        await office.database.execute("delete from account")


async def test_a_page_is_in_the_order_of_names(office: Office) -> None:
    for name in ("carl", "Ann", "bob"):
        await office.add(name, password=None)
    page = await office.users.page(limit=2)
    assert ([user.username for user in page.items], page.total) == (["Ann", "bob"], 3)
    page = await office.users.page(limit=2, offset=2)
    assert ([user.username for user in page.items], page.total) == (["carl"], 3)
    for search, found in (("AN", ["Ann"]), ("example.com", ["Ann", "bob", "carl"]), ("%", []), ("\0", []), ("_", [])):
        page = await office.users.page(search=search)
        assert [user.username for user in page.items] == found, search


async def test_a_document_holds_no_secret(office: Office) -> None:
    ann = await office.add("ann", roles=["admin"])
    document = ann.document()
    assert document["is_admin"]
    assert "gw1" not in repr(document) + repr(ann)
    assert document.keys() == {
        "id", "username", "email", "name", "roles", "created_at", "updated_at", "last_login", "is_active",
        "is_verified", "is_admin",
    }  # fmt: skip
