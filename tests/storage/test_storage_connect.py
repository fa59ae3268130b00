"""The configured database opens, or one line says why not; nothing is changed and no password is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from pydantic import SecretStr

from gateway.config.settings import DatabaseSettings, Settings
from gateway.errors import GatewayError, MigrationError, StartupError, StorageUnavailable
from gateway.storage import connect as connect_module
from gateway.storage import embedded as embedded_module
from gateway.storage import migrations as migrations_module
from gateway.storage.address import described, url_args
from gateway.storage.connect import first_connection, open_database

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def external(url: str, **database: Any) -> Settings:
    return Settings(database=DatabaseSettings(url=SecretStr(url), **database))


def url_of(args: dict[str, Any], **changes: str) -> str:
    """Write connect arguments as a database.url."""
    user, password, name = (
        quote(changes.get(key, str(args[key])), safe="") for key in ("user", "password", "database")
    )
    at = changes.get("at", "")
    query = changes.get("query", "" if at else f"host={quote(str(args['host']), safe='')}")
    return f"postgresql://{user}:{password}@{at}/{name}?{query}"


async def refusal(url: str) -> str:
    with pytest.raises(GatewayError) as caught:
        async with open_database(external(url), migrate=True):
            pytest.fail("it opened")
    message = str(caught.value)
    assert "\n" not in message
    return message


@asynccontextmanager
async def tcp_server(serve: Serve) -> AsyncIterator[str]:
    """Listen on a free port; give its ``host:port``."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"
    finally:
        server.close()


@asynccontextmanager
async def forwarded(dsn_args: dict[str, Any]) -> AsyncIterator[str]:
    """Make the embedded server reachable over TCP, without TLS."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, back = await asyncio.open_unix_connection(f"{dsn_args['host']}/.s.PGSQL.5432")
        await asyncio.gather(pump(reader, back), pump(onward, writer))

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
        sink.close()

    async with tcp_server(serve) as address:
        yield address


async def test_an_external_database_opens_and_is_migrated(empty_database: dict[str, Any]) -> None:
    settings = external(url_of(empty_database), pool_size=2)
    async with open_database(settings, migrate=True) as opened:
        assert await opened.database.fetchval("select count(*) from account") == 0
        connection = await asyncpg.connect(**opened.dsn_args)
        assert await connection.fetchval("show application_name") == "auth-gateway"
        await connection.close()
    async with open_database(settings, migrate=False) as opened:
        assert await opened.database.fetchval("select 1") == 1


async def test_a_schema_that_is_behind_is_not_opened_without_migrating(empty_database: dict[str, Any]) -> None:
    with pytest.raises(MigrationError, match="run `gateway db migrate`"):
        async with open_database(external(url_of(empty_database)), migrate=False):
            pytest.fail("it opened")


async def test_the_embedded_database_opens_and_closes(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, server_processes: Callable[[Path], list[int]]
) -> None:
    monkeypatch.setattr(embedded_module, "_SETTINGS", {**embedded_module._SETTINGS, "fsync": "off"})
    settings = Settings(data_dir=data_dir)
    async with open_database(settings, migrate=False) as opened:
        assert await opened.database.fetchval("select count(*) from account") == 0
        async with open_database(settings, migrate=False) as beside:
            assert await beside.database.fetchval("select count(*) from account") == 0
        assert len(server_processes(data_dir)) == 1
    assert server_processes(data_dir) == []


async def test_the_secret_is_not_in_the_repr(dsn_args: dict[str, Any]) -> None:
    async with open_database(external(url_of(dsn_args)), migrate=False) as opened:
        assert dsn_args["password"] not in repr(opened)


async def test_a_wrong_password(dsn_args: dict[str, Any]) -> None:
    message = await refusal(url_of(dsn_args, password="hunter2"))
    assert 'refuses the user or password: password authentication failed for user "gateway"' in message
    assert "hunter2" not in message


async def test_an_unknown_database(dsn_args: dict[str, Any]) -> None:
    assert 'database "nowhere" does not exist' in await refusal(url_of(dsn_args, database="nowhere"))


async def test_a_server_that_is_down(dsn_args: dict[str, Any], unused_tcp_port: int) -> None:
    message = await refusal(url_of(dsn_args, at=f"127.0.0.1:{unused_tcp_port}"))
    assert f"PostgreSQL at 127.0.0.1:{unused_tcp_port} cannot be reached: " in message
    assert dsn_args["password"] not in message


async def test_a_host_that_does_not_exist(dsn_args: dict[str, Any]) -> None:
    assert "db.invalid:5432 cannot be reached" in await refusal(url_of(dsn_args, at="db.invalid:5432"))


async def test_a_server_that_hangs(dsn_args: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect_module, "_CONNECT_SECONDS", 0.2)

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with tcp_server(hang) as address:
        assert "does not answer" in await refusal(url_of(dsn_args, at=address))


async def test_a_server_that_is_not_postgresql(dsn_args: dict[str, Any]) -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with tcp_server(garbage) as address:
        for mode in ("disable", "require"):
            url = url_of(dsn_args, at=address, query=f"sslmode={mode}")
            assert f"PostgreSQL at {address} " in await refusal(url)


async def test_sslmode_is_taken_from_the_url(dsn_args: dict[str, Any]) -> None:
    async with forwarded(dsn_args) as address:
        for mode in ("disable", "prefer"):
            url = url_of(dsn_args, at=address, query=f"sslmode={mode}")
            async with open_database(external(url), migrate=False) as opened:
                assert await opened.database.fetchval("select 1") == 1
        assert "SSL" in await refusal(url_of(dsn_args, at=address, query="sslmode=require"))


async def test_a_server_that_is_too_old(dsn_args: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations_module, "MINIMUM_SERVER_VERSION", 990000)
    assert "too old: the gateway needs version 99 or newer" in await refusal(url_of(dsn_args))
    with pytest.raises(StartupError, match="too old"):
        async with open_database(external(url_of(dsn_args)), migrate=False):
            pytest.fail("it opened")


async def test_a_user_who_may_not_make_tables(empty_database: dict[str, Any], postgres: Any) -> None:
    await postgres.execute("create role visitor login password 'v'")
    try:
        message = await refusal(url_of(empty_database, user="visitor", password="v"))
        assert "permission denied for schema public" in message
    finally:
        await postgres.execute("drop role visitor")


async def test_a_connection_cut_on_the_way_is_an_outage(dsn_args: dict[str, Any]) -> None:
    with pytest.raises(StorageUnavailable, match="broke"):
        async with first_connection(dsn_args) as connection:
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("mysql://u:hunter2@h/db", id="another database"),
        pytest.param("postgresql://u:hunter2@[::1/db", id="not a URL"),
        pytest.param("postgresql://u:hunter2@h:port/db", id="port not a number"),
        pytest.param("postgresql://u:hunter2@h/db?sslmode=perhaps", id="unknown sslmode"),
        pytest.param("postgresql://u:hunter2@h/db?statement_cache_size=many", id="cache not a number"),
        pytest.param("postgresql://u:hunter2@h/db?connect_timeout=-1", id="negative timeout"),
        pytest.param("postgresql://u:hunter2@h/db?sslmode", id="parameter without value"),
        pytest.param("hunter2", id="only a password"),
    ],
)
async def test_a_url_that_cannot_be_used_is_told_without_being_quoted(url: str) -> None:
    message = await refusal(url)
    assert "database.url" in message
    assert "hunter2" not in message


def test_parameters_of_the_connection_are_taken_out_of_the_url() -> None:
    url = "postgresql://u:p@h/db?sslmode=require&statement_cache_size=0&connect_timeout=3"
    assert url_args(url) == {
        "dsn": "postgresql://u:p@h/db?sslmode=require&application_name=auth-gateway",
        "statement_cache_size": 0,
        "timeout": 3,
    }


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://u:p@db.example.com:5433/db?password=x", "at db.example.com:5433"),
        ("postgresql://u:p@one,two/db", "at one,two"),
        ("postgresql:///db?host=/run/postgresql", "at /run/postgresql"),
        ("postgresql:///db", "at its default address"),
    ],
)
def test_a_database_is_described_by_its_address_alone(url: str, words: str) -> None:
    assert described(url_args(url)) == words
