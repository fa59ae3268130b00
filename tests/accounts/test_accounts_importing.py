"""Accounts of other programs: their passwords open what they opened, and hostile hashes open and cost nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress

import pytest
from argon2 import PasswordHasher as Argon2
from hypothesis import given
from hypothesis import strategies as st
from passlib import hash as passlib

from gateway.accounts.importing.formats import READERS, Record, Trouble, read_csv, read_django, read_htpasswd
from gateway.accounts.importing.importer import Imported, Importer
from gateway.accounts.passwords.foreign import check_foreign, matches_foreign
from tests.accounts.conftest import Office

PASSWORD = "old horse battery"
BCRYPT = "$2y$05$" + passlib.bcrypt.using(rounds=5).hash(PASSWORD)[7:]


def django_scrypt(n: int = 1024) -> str:
    made = hashlib.scrypt(PASSWORD.encode(), salt=b"salt", n=n, r=8, p=1, maxmem=2**28, dklen=64)
    return f"scrypt$salt${n}$8$1${base64.b64encode(made).decode()}"


HASHES = {
    "bcrypt": BCRYPT,
    "apr1": passlib.apr_md5_crypt.hash(PASSWORD),
    "sha": passlib.ldap_sha1.hash(PASSWORD),
    "ssha": passlib.ldap_salted_sha1.hash(PASSWORD),
    "sha256-crypt": passlib.sha256_crypt.using(rounds=1000).hash(PASSWORD),
    "sha512-crypt": passlib.sha512_crypt.using(rounds=1000).hash(PASSWORD),
    "argon2id": Argon2(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD),
    "scrypt": passlib.scrypt.using(rounds=4).hash(PASSWORD),
    "pbkdf2": passlib.pbkdf2_sha256.using(rounds=100).hash(PASSWORD),
    "pbkdf2-sha512": passlib.pbkdf2_sha512.using(rounds=100).hash(PASSWORD),
    "django-pbkdf2": passlib.django_pbkdf2_sha256.using(rounds=100).hash(PASSWORD),
    "django-pbkdf2-sha1": passlib.django_pbkdf2_sha1.using(rounds=100).hash(PASSWORD),
    "django-bcrypt-sha256": passlib.django_bcrypt_sha256.using(rounds=5).hash(PASSWORD),
    "django-argon2": "argon2" + Argon2(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD),
    "django-scrypt": django_scrypt(),
}
DEAR = {
    "bcrypt": "$2b$31$" + "a" * 53,
    "sha512-crypt": "$6$rounds=999999999$salt$" + "a" * 86,
    "argon2id": "$argon2id$v=19$m=9999999,t=999,p=999$c2FsdHNhbHQ$" + "a" * 43,
    "scrypt": "$scrypt$ln=31,r=999,p=999$c2FsdA$" + "a" * 43,
    "pbkdf2": "$pbkdf2-sha256$999999999$c2FsdA$" + "a" * 43,
    "django-pbkdf2": "pbkdf2_sha256$999999999$salt$" + "a" * 43 + "=",
    "django-scrypt": "scrypt$salt$999999999$999$999$" + "a" * 86 + "==",
}


@pytest.fixture
def importer(office: Office) -> Importer:
    return Importer(office.database, office.settings, office.clock)


async def take(importer: Importer, kind: str, text: str, domain: str = "example.com") -> Imported:
    return await importer.take(READERS[kind](text, domain))


def said(found: Iterator[Record | Trouble]) -> list[tuple[int, str]]:
    return [(each.line, each.message) for each in found if isinstance(each, Trouble)]


@pytest.mark.parametrize("kind", HASHES)
async def test_a_hash_of_another_program_signs_in_and_is_made_anew(
    office: Office, importer: Importer, kind: str
) -> None:
    stored = HASHES[kind]
    check_foreign(stored)
    assert (await take(importer, "csv", f'username,email,password_hash\nann,ann@example.com,"{stored}"\n')).count == 1
    right, outdated = await office.hasher.verify(PASSWORD, stored)
    assert (right, outdated) == (True, True)
    assert await office.hasher.verify(f"{PASSWORD}x", stored) == (False, False)
    await office.login.authenticate("ann", PASSWORD, "10.0.0.1")
    assert str(await office.database.fetchval("select password_hash from account")).startswith("$gw1$")
    await office.login.authenticate("ann", PASSWORD, "10.0.0.1")


@pytest.mark.parametrize("kind", DEAR)
async def test_a_hash_that_costs_too_much_is_refused_and_opens_nothing(importer: Importer, kind: str) -> None:
    imported = await take(importer, "csv", f'username,email,password_hash\nann,a@example.com,"{DEAR[kind]}"\n')
    assert imported.count == 0
    assert "costs more than a login may" in imported.troubles[0].message
    assert DEAR[kind] not in imported.troubles[0].message
    assert matches_foreign(PASSWORD, DEAR[kind]) is False


@given(st.text(max_size=80), st.text(max_size=200))
def test_no_hash_is_an_error(password: str, stored: str) -> None:
    for form in (stored, f"$apr1${stored}", f"pbkdf2_sha256$1$a${stored}", f"$argon2id$v=19$m=64,t=1,p=1${stored}"):
        assert matches_foreign(password, form) in {True, False}
        with suppress(ValueError):
            check_foreign(form)


@given(st.text(max_size=300), st.sampled_from(sorted(READERS)))
def test_no_file_is_an_error(text: str, kind: str) -> None:
    for each in READERS[kind](text, ""):
        assert isinstance(each, Record | Trouble)


async def test_htpasswd_is_taken_whole(office: Office, importer: Importer) -> None:
    text = f"# people\nann:{HASHES['apr1']}\n\nbea:{HASHES['bcrypt']}\n"
    assert (await take(importer, "htpasswd", text)).count == 2
    ann = await office.users.find("ann")
    assert ann is not None
    assert (ann.email, ann.roles, ann.is_verified) == ("ann@example.com", ("user",), True)
    assert said(read_htpasswd("ann:x\nbea\n", "")) == [
        (1, "has no e-mail address: give --email-domain"),
        (2, "is not of the form name:hash"),
    ]


async def test_csv_names_its_columns(office: Office, importer: Importer) -> None:
    text = 'username,email,name,roles,is_active\nann,ann@example.com,"Ann, A.",ops; editor,no\n'
    assert (await take(importer, "csv", text)).count == 1
    ann = await office.users.find("ann")
    assert ann is not None
    assert (ann.name, ann.roles, ann.is_active) == ("Ann, A.", ("editor", "ops"), False)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("username\nann\n", 1, "lacks the column email"),
        ("username,email,pasword\n", 1, "not known: pasword"),
        ("username,username,email\n", 1, "names a column twice"),
        ("username,email\nann\n", 2, "more or fewer fields"),
        ("username,email,is_active\nann,a@example.com,maybe\n", 2, "is_active must be true or false"),
        ('username,email\n"ann,a@example.com\n', 2, "is not CSV"),
        ("", 1, "lacks the column username"),
    ],
)
def test_csv_that_is_wrong_is_told_where(text: str, line: int, words: str) -> None:
    ((at, message),) = said(read_csv(text, ""))
    assert at == line
    assert words in message


async def test_django_users_come_with_their_groups(office: Office, importer: Importer) -> None:
    document = [
        {"model": "auth.group", "pk": 7, "fields": {"name": "editors"}},
        {
            "model": "auth.user",
            "pk": 1,
            "fields": {
                "username": "ann",
                "email": "ann@example.com",
                "first_name": "Ann",
                "last_name": "Lee",
                "password": HASHES["django-pbkdf2"],
                "is_superuser": True,
                "is_active": True,
                "groups": [7, ["readers"]],
            },
        },
        {"model": "auth.user", "pk": 2, "fields": {"username": "bea", "email": "", "password": "!abc"}},
    ]
    assert (await take(importer, "django", json.dumps(document))).count == 2
    ann, bea = await office.users.find("ann"), await office.users.find("bea")
    assert ann is not None
    assert bea is not None
    assert (ann.name, ann.roles, ann.is_verified) == ("Ann Lee", ("admin", "editors", "readers"), False)
    assert (bea.email, bea.roles) == ("bea@example.com", ("user",))
    assert (await office.login.authenticate("ann", PASSWORD, "10.0.0.1")).id == ann.id


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "[" * 100_000, '[{"model": "auth.user"}]', "[1, null]"])
def test_django_that_is_wrong_is_said(text: str) -> None:
    assert said(read_django(text, "")) != []


async def test_all_of_a_file_or_none_with_everything_that_is_wrong(office: Office, importer: Importer) -> None:
    await office.add("taken")
    text = (
        "username,email,password_hash\n"
        "good,good@example.com,\n"
        "a b,nowhere,\n"
        "taken,new@example.com,\n"
        "GOOD,other@example.com,\n"
        "last,last@example.com,plain text\n"
    )
    imported = await take(importer, "csv", text)
    assert imported.count == 0
    assert [trouble.line for trouble in imported.troubles] == [3, 3, 4, 5, 6]
    assert "plain text" not in str(imported.troubles)
    assert await office.count("account") == 1


async def test_a_dry_run_makes_nothing(office: Office, importer: Importer) -> None:
    imported = await importer.take(READERS["csv"]("username,email\nann,ann@example.com\n", ""), dry_run=True)
    assert imported.count == 1
    assert await office.count("account") == 0
