"""Variables override values of the file, are as strict as the file, and leave Kubernetes' own alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from gateway.config.load import Loaded, load_settings
from gateway.errors import ConfigError


def load(path: Path, text: str = "", **environ: str) -> Loaded:
    path.write_text(text)
    return load_settings(path, environ)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.yaml"


def test_variable_wins_over_the_file(file: Path) -> None:
    loaded = load(
        file,
        "server:\n  listen: 127.0.0.1:1\n  prefix: /a\n",
        GATEWAY_SERVER__LISTEN="127.0.0.1:2",
        GATEWAY_SERVER__LIMITS__BODY_BYTES="1GiB",
        GATEWAY_SESSIONS__IDLE_TIMEOUT="5m",
        GATEWAY_REGISTRATION__ENABLED="false",
        GATEWAY_LOGIN__PER_IP="7",
        GATEWAY_UPSTREAMS__WIKI__SERVERS="http://a",
    )
    settings = loaded.settings
    assert (settings.server.listen, settings.server.prefix) == (("127.0.0.1:2",), "/a")
    assert settings.server.limits.body_bytes == 1024**3
    assert settings.sessions.idle_timeout == timedelta(minutes=5)
    assert (settings.registration.enabled, settings.login.per_ip) == (False, 7)
    assert settings.upstreams["wiki"].servers == ("http://a",)
    assert loaded.origins["server.listen"] == "$GATEWAY_SERVER__LISTEN"
    assert loaded.origins["server.prefix"] == f"{file}:3"
    assert "server.workers" not in loaded.origins


def test_variables_serve_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gateway.config.load.SEARCHED", (Path("gateway.yaml"),))
    loaded = load_settings(None, {"GATEWAY_BRANDING__NAME": "Wiki", "PATH": "/bin"})
    assert (loaded.path, loaded.settings.branding.name) == (None, "Wiki")


@pytest.mark.parametrize("text", ["2026", "true", "08:00", "0x10", "1e3"])
def test_text_stays_text_whatever_it_looks_like(file: Path, text: str) -> None:
    route = "routes:\n  - {upstream: http://a}\n"
    assert load(file, route, GATEWAY_BRANDING__NAME=text).settings.branding.name == text
    with pytest.raises(ConfigError, match="must start with postgresql://"):
        load(file, route, GATEWAY_DATABASE__URL=text)


@pytest.mark.parametrize("text", ["", "null"])
def test_empty_variable_is_null(file: Path, text: str) -> None:
    assert load(file, GATEWAY_SERVER__INTERNAL_LISTEN=text).settings.server.internal_listen is None


def test_section_shared_by_an_alias_is_changed_in_one_place_only(file: Path) -> None:
    text = "upstreams:\n  a: &a {servers: http://a, timeouts: {connect: 1s}}\n  b: *a\n"
    upstreams = load(file, text, GATEWAY_UPSTREAMS__B__TIMEOUTS__CONNECT="9s").settings.upstreams
    assert upstreams["a"].timeouts.connect == timedelta(seconds=1)
    assert upstreams["b"].timeouts.connect == timedelta(seconds=9)


@pytest.mark.parametrize(
    "variable",
    [
        "GATEWAY_SERVICE_HOST",
        "GATEWAY_SERVICE_PORT",
        "GATEWAY_SERVICE_PORT_HTTP",
        "GATEWAY_PORT",
        "GATEWAY_PORT_8080_TCP",
        "GATEWAY_PORT_8080_TCP_PROTO",
        "GATEWAY_METRICS_SERVICE_HOST",
        "GATEWAY_METRICS_PORT_9180_TCP_ADDR",
        "GATEWAY_CONFIG",
        "GATEWAY_PG_BINDIR",
    ],
)
def test_variable_that_is_no_setting_is_left_alone(file: Path, variable: str) -> None:
    load(file, **{variable: "tcp://10.0.0.1:8080"})


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("GATEWAY_SERVER__LISTN", "x", "server.listn: is an unknown key; did you mean `listen`?"),
        ("GATEWAY_SERVR__LISTEN", "x", "servr: is an unknown key; did you mean `server`?"),
        ("GATEWAY_LISTEN", "x", "listen: is an unknown key here; it belongs at server.listen"),
        ("GATEWAY_SERVER", "x", "server: cannot be set as a whole: name one of its keys, or use the file"),
        ("GATEWAY_ROUTES", "[]", "routes: cannot be set as a whole: name one of its keys, or use the file"),
        ("GATEWAY_ROUTES__0__UPSTREAM", "a", "routes.0.upstream: cannot be set: routes holds no keys"),
        ("GATEWAY_SERVER__", "x", "server.: does not name a key: write GATEWAY_SECTION__KEY"),
        ("GATEWAY_", "x", "does not name a key: write GATEWAY_SECTION__KEY"),
        ("GATEWAY_SERVER__TLS__CERT_FILE", "a", "server.tls.key_file: is required"),
        ("GATEWAY_SERVER__PORT", "1", "server.port: is an unknown key"),
        ("GATEWAY_LOGIN__PER_IP", "many", "login.per_ip: must be a whole number"),
        ("GATEWAY_SERVER__TRUSTED_PROXIES", "x", "server.trusted_proxies: must be an address or network, such as"),
        ("GATEWAY_SECRET_KEY", "hunter2", "secret_key: must be at least 32 random bytes in base64"),
        ("GATEWAY_DATABASE__URL_FILE", "/nowhere/x", "database.url_file: cannot read /nowhere/x: No such file"),
    ],
)
def test_problem_names_the_variable(file: Path, variable: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file, "version: 1\nroutes:\n  - {upstream: http://a}\n", **{variable: text})
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"environment {variable}: {message}")
    assert "hunter2" not in str(problem)


def test_secret_given_in_the_file_and_as_a_variable_s_file_is_an_error(file: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"environment GATEWAY_DATABASE__URL_FILE: database\.url_file: url and url_file"
    ):
        load(file, "database: {url: postgresql://a}\n", GATEWAY_DATABASE__URL_FILE="x")
