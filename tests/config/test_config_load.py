"""Where the configuration is found, what it means there, what it warns of, and how long it takes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.config.document import Document
from gateway.config.keys import every_key
from gateway.config.load import find_config, load_settings, settings_of
from gateway.config.server import Server
from gateway.config.settings import Settings
from gateway.config.treatment import FileValue
from gateway.config.yaml_reader import read_document
from gateway.errors import ConfigError


def test_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    system = tmp_path / "etc.yaml"
    monkeypatch.setattr("gateway.config.load.SEARCHED", (Path("gateway.yaml"), system))
    assert find_config(None, {}) is None
    system.write_text("")
    assert find_config(None, {}) == system
    Path("gateway.yaml").write_text("")
    assert find_config(None, {}) == Path("gateway.yaml")
    assert find_config(None, {"GATEWAY_CONFIG": "named.yaml"}) == Path("named.yaml")
    assert find_config(Path("given.yaml"), {"GATEWAY_CONFIG": "named.yaml"}) == Path("given.yaml")


def test_named_file_that_is_missing_is_no_reason_to_read_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gateway.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"named\.yaml: cannot be read"):
        load_settings(None, {"GATEWAY_CONFIG": "named.yaml"})


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "gateway.yaml").write_text(
        "data_dir: ../data\nroutes:\n  - {upstream: http://a, identity: {headers: {X-A: {file: secret}}}}\n"
    )
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(Path("etc/gateway.yaml"), {}).settings
    assert loaded.data_dir == tmp_path / "etc/../data"
    value = loaded.routes[0].identity.headers["X-A"]
    assert isinstance(value, FileValue)
    assert value.file == tmp_path / "etc/secret"
    (tmp_path / "etc" / "gateway.yaml").write_text("")
    assert load_settings(Path("etc/gateway.yaml"), {}).settings.data_dir == tmp_path / "etc/var"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().server.prefix = "/x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "origin", "host", "secure"),
    [
        ("http://localhost:8080", "http://localhost:8080", "localhost", False),
        ("HTTPS://Auth.Example.COM:443/", "https://auth.example.com", "auth.example.com", True),
        ("http://auth.example.com:80", "http://auth.example.com", "auth.example.com", False),
        ("https://auth.example.com.:8443", "https://auth.example.com:8443", "auth.example.com", True),
        ("http://[0:0::1]:8080", "http://[::1]:8080", "::1", False),
    ],
)
def test_public_url_has_one_spelling(given: str, origin: str, host: str, secure: bool) -> None:
    server = Server(public_url=given)
    assert (server.public_url, server.public_origin, server.public_host, server.secure) == (
        origin,
        origin,
        host,
        secure,
    )


def test_issuer_is_the_portal_unless_given() -> None:
    values = {"server": {"public_url": "https://a.example/", "prefix": "/gw"}}
    assert Settings.model_validate(values).issuer == "https://a.example/gw"
    assert (
        Settings.model_validate({**values, "tokens": {"issuer": "https://i.example/x"}}).issuer == "https://i.example/x"
    )


def test_a_single_value_stands_for_a_list_of_one() -> None:
    route = {"upstream": "a", "match": {"host": "Wiki.Example.com.", "methods": "get"}, "credentials": "bearer"}
    settings = Settings.model_validate({"upstreams": {"a": {"servers": "http://a"}}, "routes": [route]})
    assert settings.routes[0].match.host == ("wiki.example.com",)
    assert settings.routes[0].match.methods == ("GET",)
    assert settings.routes[0].credentials == ("bearer",)
    assert settings.upstreams["a"].servers == ("http://a",)


def warnings(path: Path, text: str) -> list[str]:
    path.write_text(text)
    return [str(warning).removeprefix(f"{path}:") for warning in load_settings(path, {}).warnings]


def test_what_is_seldom_meant_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("postgresql://h")
    (tmp_path / "secret").chmod(0o644)
    text = """\
server:
  public_url: http://auth.example.com
  trusted_proxies: [10.0.0.0/8, 0.0.0.0/0]
passwords: {bcrypt_cost: 4}
database: {url_file: secret}
upstreams:
  used: {servers: http://a}
  idle: {servers: http://a}
routes:
  - {upstream: used, match: {path: /a}}
  - {upstream: used, identity: {headers: {X-A: {file: secret}}}}
  - {upstream: used, match: {path: /b}}
"""
    exposed = f"{tmp_path}/secret can be read by every user of this machine: chmod o-r {tmp_path}/secret"
    told = "can be read by clients if a trusted proxy passes them on to /.gateway/authz/: set authz.key_file"
    assert warnings(tmp_path / "gateway.yaml", text) == [
        "2:3: server.public_url: is plain http: passwords and cookies can be read on their way",
        "3:3: server.trusted_proxies: trusts everybody: any client can forge its address and the host it asks for",
        "4:13: passwords.bcrypt_cost: makes stolen hashes cheap to guess: 12 is a good value",
        f"5:12: database.url_file: {exposed}",
        "8:3: upstreams.idle: is used by no route",
        f"11:43: routes[1].identity.headers.X-A: {told}",
        f"11:43: routes[1].identity.headers.X-A: {exposed}",
        "12:5: routes[2]: is never reached: routes[1] matches every request",
    ]


def test_sound_configuration_warns_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("postgresql://h")
    (tmp_path / "secret").chmod(0o640)
    text = """\
server: {public_url: 'http://app.localhost:8080', trusted_proxies: 10.0.0.0/8}
database: {url_file: secret}
routes:
  - {upstream: http://a, match: {methods: GET}}
  - {upstream: http://a, match: {path_regex: '/.*'}}
  - {upstream: http://a}
"""
    assert warnings(tmp_path / "gateway.yaml", text) == []


def test_a_thousand_routes_load_well_within_a_second(tmp_path: Path) -> None:
    route = """
  - name: r{0}
    match: {{host: h{0}.example.com, path: [/a/{0}/**, /b], methods: [GET]}}
    require: {{roles: [a, b], any: [{{users: [x]}}, {{source_ip: 10.0.0.0/8}}]}}
    identity: {{preset: remote-user, headers: {{X-Team: "{{username}}"}}}}
    upstream: wiki"""
    text = "upstreams: {wiki: {servers: http://a}}\nroutes:" + "".join(route.format(n) for n in range(1000))
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    started = time.process_time()
    assert len(load_settings(path, {}).settings.routes) == 1000
    assert time.process_time() - started < 1


# Whatever stands under whatever key: a ConfigError or settings, never another exception.
WORDS = st.sampled_from(
    [
        "",
        "x",
        "no",
        "15m",
        "1GiB",
        "/a/**",
        "**",
        "http://a",
        "http://[",
        "::1",
        "unix:/a",
        "a.example:1",
        "(",
        "\ud800"[:0],
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=20)
KEYS = st.sampled_from(sorted({part.strip("[]") for key, _ in every_key() for part in key.split(".")})) | st.text(
    max_size=5
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=5), st.dictionaries(KEYS.map(str.upper), SCALARS.map(str), max_size=3))
def test_loading_raises_nothing_but_config_errors(values: dict[str, object], variables: dict[str, str]) -> None:
    environ = {f"GATEWAY_{name}": text for name, text in variables.items()}
    try:
        settings_of(Document("f", values), None, environ, rules=True)
    except ConfigError as error:
        for problem in error.problems:
            assert str(problem)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abrou tesv:-[]{}\n/'\"*&1\x00é", max_size=80))
def test_any_file_is_settings_or_config_errors(text: str) -> None:
    try:
        settings_of(read_document(text, "f"), None, {}, rules=True)
    except ConfigError as error:
        for problem in error.problems:
            assert str(problem)
