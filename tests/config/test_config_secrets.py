"""Secrets come from files or values, never both; the master key is made once; nothing is ever shown."""

from __future__ import annotations

import base64
import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load_settings
from gateway.config.secrets import secret_key
from gateway.config.settings import Settings
from gateway.errors import ConfigError, StartupError

KEY = bytes(range(32))
TEXT = base64.b64encode(KEY).decode()


def load(path: Path, text: str) -> Settings:
    path.write_text(text)
    return load_settings(path, {}).settings


def problems(path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, text)
    return [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.yaml"


def test_secrets_are_read_from_their_files_beside_the_configuration(file: Path) -> None:
    (file.parent / "url").write_text("  postgresql://u:hunter2@h/db\n")
    (file.parent / "key").write_text(f"{TEXT[:20]}\n{TEXT[20:]}\n")  # as openssl breaks long lines
    settings = load(file, "database: {url_file: url}\nsecret_key_file: key\n")
    assert settings.database.url is not None
    assert settings.database.url.get_secret_value() == "postgresql://u:hunter2@h/db"
    assert secret_key(settings) == KEY
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u:hunter2@h/db", "must start with postgresql://"),
        ("hunter2", "must start with postgresql://"),
        ("postgresql://u:hunter2@[h/db", "is not a URL: postgresql://user:password@host:5432/name"),
    ],
)
def test_database_url_that_is_none_is_refused_and_not_repeated(file: Path, url: str, message: str) -> None:
    (file.parent / "url").write_text(url)
    assert problems(file, f"database:\n  url: '{url}'\n") == [f"2:3: database.url: {message}"]
    assert problems(file, "database:\n  url_file: url\n") == [f"2:3: database.url_file: {message}"]


@pytest.mark.parametrize(
    "url", ["postgresql://h1:5432,h2:5432/db?target_session_attrs=primary", "postgres:///db?host=/run"]
)
def test_database_url_as_libpq_takes_it(file: Path, url: str) -> None:
    database = load(file, f"database: {{url: '{url}'}}\n").database
    assert database.url is not None
    assert database.url.get_secret_value() == url


def test_key_given_as_a_value(file: Path) -> None:
    settings = load(file, f"secret_key: {TEXT}\n")
    assert secret_key(settings) == KEY
    assert TEXT not in repr(settings) + settings.model_dump_json()


def test_both_forms_are_an_error(file: Path) -> None:
    (file.parent / "key").write_text(TEXT)
    (file.parent / "url").write_text("postgresql://h")
    text = f"secret_key: {TEXT}\nsecret_key_file: key\ndatabase:\n  url: postgresql://h\n  url_file: url\n"
    assert problems(file, text) == [
        "2:1: secret_key_file: secret_key and secret_key_file exclude each other: give one",
        "5:3: database.url_file: url and url_file exclude each other: give one",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read {}: No such file or directory"),
        (b"", "{} is empty"),
        (b" \n", "{} is empty"),
        (b"\xff", "{} does not hold text"),
        (b"a" * 70_000, "{} is too long for a secret"),
        ("directory", "cannot read {}: Is a directory"),
    ],
    ids=["missing", "empty", "blank", "not text", "too long", "directory"],
)
def test_secret_file_that_cannot_serve_is_one_problem(file: Path, content: bytes | str | None, message: str) -> None:
    secret = file.parent / "secret"
    if isinstance(content, bytes):
        secret.write_bytes(content)
    elif content is not None:
        secret.mkdir()
    said = message.format(secret)
    assert problems(file, "database:\n  url_file: secret\n") == [f"2:3: database.url_file: {said}"]
    assert problems(file, "secret_key_file: secret\n") == [f"1:1: secret_key_file: {said}"]


def test_secret_file_without_permission_is_one_problem(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("secret_key_file: secret\n")
    opened = Path.open

    def refusing(path: Path, mode: str = "r") -> Any:  # root may read every file, so permission is acted out
        if path.name == "secret":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, mode)

    monkeypatch.setattr(Path, "open", refusing)
    with pytest.raises(ConfigError, match=r":1:1: secret_key_file: cannot read .*/secret: Permission denied$"):
        load_settings(file, {})


@pytest.mark.parametrize("text", ["hunter2", base64.b64encode(KEY[:31]).decode(), TEXT[:-1], TEXT + "!"])
def test_weak_or_broken_key_is_refused_and_not_repeated(file: Path, text: str) -> None:
    (file.parent / "key").write_text(text)
    (problem,) = problems(file, "secret_key_file: key\n")
    assert problem.startswith("1:1: secret_key_file: must be at least 32 random bytes in base64")
    assert text not in problem
    with pytest.raises(ConfigError, match="32 random bytes"):
        secret_key(Settings(secret_key_file=file.parent / "key"))


def test_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "a" / "var")
    made = secret_key(settings)
    path = tmp_path / "a" / "var" / "secret_key"
    assert len(made) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret_key(settings) == made
    assert secret_key(Settings(secret_key_file=path)) == made
    assert [entry.name for entry in path.parent.iterdir()] == ["secret_key"]


def test_processes_that_start_together_get_the_same_key(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "var")
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: secret_key(settings), range(32)))
    assert len(keys) == 1


def test_key_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StartupError, match=r"cannot make a secret key in .*/file/var/secret_key: Not a directory; set data_dir"
    ):
        secret_key(Settings(data_dir=tmp_path / "file" / "var"))


def test_made_key_that_was_damaged_is_an_error_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    path.write_text("damaged")
    with pytest.raises(ConfigError, match=f"data_dir: {path}: must be at least 32 random bytes"):
        secret_key(Settings(data_dir=tmp_path))
    assert path.read_text() == "damaged"
