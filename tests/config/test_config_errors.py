"""Every problem of a configuration is told at once, with line, column, key and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.load import load_settings
from gateway.errors import ConfigError

DURATION = "a duration is a number with a unit, such as 30s, 15m, 12h or 7d"
SIZE = "a size is a number of bytes or one with a unit, such as 64KiB, 100MiB or 1GiB"
NETWORK = "must be an address or network, such as 10.1.2.3 or 10.0.0.0/8"
KEY = "must be at least 32 random bytes in base64; make one with: openssl rand -base64 32"
PREFIX = "must be empty or a path such as /gateway, of letters, digits, - . _ ~, without / at its end"
TEMPLATE = "is not known: use user_id, username, name, email, roles, scopes, credential or claims.NAME"
HEADER = "may hold only letters, digits and hyphens, which every application reads alike"
UNBALANCED = "is not a regular expression: missing ), unterminated subpattern at position 1"
NO_PATH = "must not have a path: write only scheme, host and port"
ROUTE = "routes:\n  - {upstream: http://a, "


def problems(path: Path, text: str | bytes) -> list[str]:
    """Return what is wrong with ``text``, without the file's name."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {}, rules=True)
    return [str(problem).removeprefix(f"{path}:").strip() for problem in caught.value.problems]


def case(name: str, text: str | bytes, *expected: str) -> object:
    return pytest.param(text, list(expected), id=name)


FORM = [
    case("unknown key", "servers: {}\n", "1:1: servers: is an unknown key; did you mean `server`?"),
    case("misspelt key", "server:\n  listn: x\n", "2:3: server.listn: is an unknown key; did you mean `listen`?"),
    case("key elsewhere", "listen: x\n", "1:1: listen: is an unknown key here; it belongs at server.listen"),
    case("nothing like it", "zebra: x\n", "1:1: zebra: is an unknown key"),
    case(
        "misspelt in a list",
        "routes:\n  - upstream: http://a\n    matches: {path: /}\n",
        "3:5: routes[0].matches: is an unknown key; did you mean `match`?",
    ),
    case(
        "misspelt in a mapping",
        "upstreams: {a: {servers: http://a, timeout: {}}}\n",
        "1:36: upstreams.a.timeout: is an unknown key; did you mean `timeouts`?",
    ),
    case(
        "misspelt in nested requirements",
        ROUTE + "require: {any: [{not: {rols: x}}]}}\n",
        "2:49: routes[0].require.any[0].not.rols: is an unknown key; did you mean `roles`?",
    ),
    case("duplicate key", "version: 1\nversion: 1\n", "2:1: version: is given twice, first on line 1"),
    case(
        "duplicate keys below and above",
        "server: {prefix: '', prefix: ''}\ndata_dir: a\nserver: {listn: x}\n",
        "1:22: server.prefix: is given twice, first on line 1",
        "3:1: server: is given twice, first on line 1",
    ),
    case(
        "merge key",
        "server:\n  <<: {prefix: ''}\n",
        "2:3: server.<<: merge keys are not part of YAML 1.2; repeat what they would bring",
    ),
    case("tag", "data_dir: !path x\n", "1:11: data_dir: tags such as !path have no meaning here"),
    case(
        "python tag",
        "server: !!python/object:os.system {}\n",
        "1:9: server: tags such as !!python/object:os.system have no meaning here",
    ),
    case("key that is no word", "server:\n  ? [a]\n  : b\n", "2:5: server: a key must be a plain word"),
    case("not a mapping", "- a\n", "1:1: the file must hold keys, such as `routes:`"),
    case("text", "hello\n", "1:1: the file must hold keys, such as `routes:`"),
    case("second document", "version: 1\n---\nversion: 1\n", "2:1: a second document starts here; one file holds one"),
    case("tab", "server:\n\tprefix: ''\n", "2:1: is not YAML: a tab cannot indent; use spaces"),
    case(
        "unclosed",
        "server: {prefix: ''\nroutes: []\n",
        "2:1: is not YAML: did not find expected ',' or '}', while parsing a flow mapping that starts on line 1",
    ),
    case(
        "control character",
        "version: 1\ndata_dir: a\x07b\n",
        "2:12: is not YAML: the character U+0007 may not stand in it",
    ),
    case("NUL", b"version: 1\n\x00", "2:1: is not YAML: the character U+0000 may not stand in it"),
    case("not UTF-8", b"data_dir: \xff\n", "is not UTF-8 (byte 10)"),
    case("alias to nothing", "server: *x\n", "1:9: *x stands for nothing that ends before it"),
    case("alias to itself", "routes: &a [*a]\n", "1:13: *a stands for nothing that ends before it"),
]

VALUES = [
    case("version", "version: 2\n", "1:1: version: must be 1"),
    case("empty section", "server:\n", "1:1: server: is empty: fill it or take it out"),
    case("empty list", "routes:\n", "1:1: routes: is empty: fill it or take it out"),
    case("text for a section", "server: yes\n", "1:1: server: must hold keys"),
    case("text for a list", "routes: yes\n", "1:1: routes: must be a list"),
    case(
        "text for a route",
        "routes:\n  - yes\n  - {upstream: a}\n",
        "2:5: routes[0]: must hold keys",
        "3:6: routes[1].upstream: no upstream is called 'a'; write its name or a URL",
    ),
    case("list for a mapping", "upstreams: []\n", "1:1: upstreams: must hold keys"),
    case("number for text", "branding: {name: 2026}\n", "1:12: branding.name: must be text: put it in quotes"),
    case("boolean for text", ROUTE + "name: true}\n", "2:26: routes[0].name: must be text: put it in quotes"),
    case("no is text", "registration: {enabled: no}\n", "1:16: registration.enabled: must be true or false"),
    case("text for a number", "login: {per_ip: many}\n", "1:9: login.per_ip: must be a whole number"),
    case("fraction", "login: {per_ip: 1.5}\n", "1:9: login.per_ip: must be a whole number"),
    case("too small", "database: {pool_size: 0}\n", "1:12: database.pool_size: must be at least 1"),
    case("too large", "passwords: {bcrypt_cost: 17}\n", "1:13: passwords.bcrypt_cost: must be at most 16"),
    case(
        "one of a few",
        ROUTE + "access: pubic}\n",
        "2:26: routes[0].access: must be one of public, optional, required, deny; did you mean `public`?",
    ),
    case("one of these", "tokens: {algorithm: none}\n", "1:10: tokens.algorithm: must be one of ES256, RS256, EdDSA"),
    case("duration without unit", "sessions: {lifetime: 15}\n", f"1:12: sessions.lifetime: {DURATION}"),
    case("zero duration", "sessions: {lifetime: 0s}\n", "1:12: sessions.lifetime: must be longer than zero"),
    case("endless duration", "sessions: {lifetime: 999999999w}\n", "1:12: sessions.lifetime: must be at most 3650d"),
    case("size", "server: {limits: {body_bytes: 10 apples}}\n", f"1:19: server.limits.body_bytes: {SIZE}"),
    case(
        "endless size",
        "server: {limits: {body_bytes: 2000TiB}}\n",
        "1:19: server.limits.body_bytes: must be at most 1024TiB",
    ),
    case("negative size", "server: {limits: {body_bytes: -1}}\n", f"1:19: server.limits.body_bytes: {SIZE}"),
    case("network", "server:\n  trusted_proxies: [10.0.0.0/8, here]\n", f"2:33: server.trusted_proxies[1]: {NETWORK}"),
    case(
        "network with host bits",
        "server: {trusted_proxies: 10.1.2.3/8}\n",
        "1:10: server.trusted_proxies: has bits set behind its prefix; did you mean 10.0.0.0/8?",
    ),
    case(
        "listen without port",
        "server: {listen: 127.0.0.1}\n",
        "1:10: server.listen: must be ADDRESS:PORT, such as 127.0.0.1:8080, or unix:/path",
    ),
    case(
        "listen to a name",
        "server: {listen: 'a.example:80'}\n",
        "1:10: server.listen: must be an IP address and port, such as 0.0.0.0:8080",
    ),
    case(
        "listen to bare IPv6",
        "server: {listen: '::1:80'}\n",
        "1:10: server.listen: must have an IPv6 address in brackets, and only that: [::]:8080",
    ),
    case(
        "listen to a relative socket",
        "server: {listen: 'unix:a'}\n",
        "1:10: server.listen: must be unix: and an absolute path of at most 107 bytes",
    ),
    case("listen nowhere", "server: {listen: []}\n", "1:10: server.listen: must not be empty"),
    case("upstream without servers", "upstreams:\n  a: {}\n", "2:3: upstreams.a.servers: is required"),
    case(
        "upstream's name",
        "upstreams: {a b: {servers: http://a}}\n",
        "1:13: upstreams.a b: must be a name of letters, digits, - . _ (at most 63)",
    ),
    case(
        "prefix",
        "server: {prefix: gateway}\n",
        f"1:10: server.prefix: {PREFIX}",
    ),
    case(
        "prefix of dots",
        "server: {prefix: /a/..}\n",
        f"1:10: server.prefix: {PREFIX}",
    ),
    case("secret key", "secret_key: aHVudGVyMg==\n", f"1:1: secret_key: {KEY}"),
    case("secret key that is no base64", "secret_key: hunter2!\n", f"1:1: secret_key: {KEY}"),
]

URLS = [
    case(name, f"server: {{public_url: '{url}'}}\n", f"1:10: server.public_url: {message}")
    for name, url, message in (
        ("path", "https://a.example/x", NO_PATH),
        ("user", "https://ann@a.example", "must not hold a user or password"),
        ("user and password", "https://ann:hunter2@a.example", "must not hold a user or password"),
        ("empty user", "https://@a.example", "must not hold a user or password"),
        ("query", "https://a.example?x", "must not have a query or fragment"),
        ("empty fragment", "https://a.example/#", "must not have a query or fragment"),
        ("scheme", "ftp://a.example", "must be a URL that starts with http:// or https://"),
        ("no scheme", "a.example", "must be a URL that starts with http:// or https://"),
        ("no host", "https://:8080", "must be a URL that starts with http:// or https://"),
        ("port", "https://a.example:99999", "is not a URL: Port out of range 0-65535"),
        (
            "port that is no number",
            "https://a.example:http",
            "is not a URL: Port could not be cast to integer value as 'http'",
        ),
        ("port 0", "https://a.example:0", "must not have port 0"),
        ("space", "https://a .example", "must be a URL without spaces or other characters than ASCII"),
        ("not ASCII", "https://\u00e9.example", "must be a URL without spaces or other characters than ASCII"),
        ("odd host", "https://a_b<c>.example", "names no host that a request could be for"),
    )
]

ROUTES = [
    case(
        "unknown upstream",
        "routes:\n  - upstream: wiki\n",
        "2:5: routes[0].upstream: no upstream is called 'wiki'; write its name or a URL",
    ),
    case(
        "misspelt upstream",
        "upstreams: {wiki: {servers: http://a}}\nroutes:\n  - {upstream: wikki}\n",
        "3:6: routes[0].upstream: no upstream is called 'wikki', did you mean 'wiki'; write its name or a URL",
    ),
    case(
        "no upstream",
        "routes:\n  - {}\n",
        "2:5: routes[0].upstream: is required, unless access is deny, or redirect or respond is given",
    ),
    case(
        "upstream with a path",
        "routes:\n  - {upstream: http://a/b}\n",
        f"2:6: routes[0].upstream: {NO_PATH}; a path is added with rewrite.add_prefix",
    ),
    case(
        "upstream with a user",
        "routes:\n  - {upstream: 'http://u:p@a'}\n",
        "2:6: routes[0].upstream: must not hold a user or password",
    ),
    case(
        "name given twice",
        "routes:\n  - {name: a, upstream: http://a}\n  - {name: a, upstream: http://a}\n",
        "3:6: routes[1].name: 'a' is the name of routes[0] already",
    ),
    case(
        "name that another route has without one",
        "routes:\n  - {name: route-2, upstream: http://a}\n  - {upstream: http://a}\n",
        "3:5: routes[1]: 'route-2' is the name of routes[0] already",
    ),
    case(
        "host with a port",
        ROUTE + "match: {host: 'a.example:80'}}\n",
        "2:34: routes[0].match.host: must not have a port: a host is matched on every port",
    ),
    case(
        "host that is none",
        ROUTE + "match: {host: [a.example, '*']}}\n",
        "2:52: routes[0].match.host[1]: must be a host name, such as wiki.example.com or *.example.com",
    ),
    case("no host at all", ROUTE + "match: {host: []}}\n", "2:34: routes[0].match.host: must not be empty"),
    case("no method at all", ROUTE + "match: {methods: []}}\n", "2:34: routes[0].match.methods: must not be empty"),
    case("relative path", ROUTE + "match: {path: a}}\n", "2:34: routes[0].match.path: must start with /"),
    case(
        "stars in the middle",
        ROUTE + "match: {path: /**/a}}\n",
        "2:34: routes[0].match.path: ** may stand only at the end, after a slash",
    ),
    case(
        "part of a segment",
        ROUTE + "match: {path: /a*}}\n",
        "2:34: routes[0].match.path: * stands for a whole segment; use path_regex for parts of one",
    ),
    case(
        "regular expression",
        ROUTE + "match: {path_regex: '/(a'}}\n",
        f"2:34: routes[0].match.path_regex: {UNBALANCED}",
    ),
    case(
        "expression that may take for ever",
        ROUTE + "match: {path_regex: '/([a-z]+)*'}}\n",
        "2:34: routes[0].match.path_regex: repeats what can match in several ways, which may take for ever:"
        " write a++ for a+ inside",
    ),
    case(
        "path and expression",
        ROUTE + "match: {path: /a, path_regex: /a}}\n",
        "2:44: routes[0].match.path_regex: path and path_regex exclude each other: give one",
    ),
    case(
        "empty requirement",
        ROUTE + "require: {}}\n",
        "2:26: routes[0].require: is empty: say what is required, or take it out",
    ),
    case(
        "requirement without keys",
        ROUTE + "require: }\n",
        "2:26: routes[0].require: is empty: say what is required, or take it out",
    ),
    case("no role", ROUTE + "require: {roles: []}}\n", "2:36: routes[0].require.roles: must not be empty"),
    case(
        "empty inner requirement",
        ROUTE + "require: {any: [{}]}}\n",
        "2:42: routes[0].require.any[0]: is empty: it would hold for everyone",
    ),
    case(
        "requirement in public",
        ROUTE + "access: public, require: {roles: a}}\n",
        "2:42: routes[0].require: has no effect where access is public: set access to required",
    ),
    case(
        "header's template",
        ROUTE + "identity: {headers: {X-A: '{nmae}'}}}\n",
        f"2:47: routes[0].identity.headers.X-A: {{nmae}} {TEMPLATE}",
    ),
]

SEVERAL = [
    case(
        "addresses that clash",
        "server: {listen: ['127.0.0.1:80', '127.0.0.1:80'], internal_listen: '127.0.0.1:80'}\n",
        "1:10: server.listen: names an address twice",
        "1:52: server.internal_listen: is an address of server.listen, too",
    ),
    case(
        "idle longer than life",
        "sessions: {idle_timeout: 8d}\n",
        "1:12: sessions.idle_timeout: is longer than sessions.lifetime",
    ),
    case(
        "access longer than refresh",
        "tokens: {access_lifetime: 31d}\n",
        "1:10: tokens.access_lifetime: is longer than tokens.refresh_lifetime",
    ),
    case(
        "keys older than tokens",
        "tokens: {key_rotation: 10m}\n",
        "1:10: tokens.key_rotation: is shorter than tokens.access_lifetime",
    ),
    case(
        "staleness",
        "database: {max_staleness: 1s}\n",
        "1:12: database.max_staleness: must be at least 1500ms: the event table is read each second",
    ),
    case(
        "all at once, in the file's order, none that another explains",
        """\
server:
  listn: 127.0.0.1:80
  trusted_proxies: [a, 1.2.3.4]
upstreams:
  wiki: {server: http://a}
sessions: {idle_timeout: 30d, lifetime: x}
routes:
  - {upstream: wiki, access: pubic}
  - {name: a, upstream: other}
  - {name: a, upstream: http://a, identity: {headers: {X_A: b}}}
  - {}
  - {name: a, access: bad}
""",
        "2:3: server.listn: is an unknown key; did you mean `listen`?",
        f"3:21: server.trusted_proxies[0]: {NETWORK}",
        "5:3: upstreams.wiki.servers: is required",
        "5:10: upstreams.wiki.server: is an unknown key; did you mean `servers`?",
        f"6:31: sessions.lifetime: {DURATION}",
        "8:22: routes[0].access: must be one of public, optional, required, deny; did you mean `public`?",
        "9:15: routes[1].upstream: no upstream is called 'other'; write its name or a URL",
        "10:6: routes[2].name: 'a' is the name of routes[1] already",
        f"10:56: routes[2].identity.headers.X_A: {HEADER}",
        "11:5: routes[3].upstream: is required, unless access is deny, or redirect or respond is given",
        "12:6: routes[4].name: 'a' is the name of routes[1] already",
        "12:15: routes[4].access: must be one of public, optional, required, deny",
    ),
]


@pytest.mark.parametrize(("text", "expected"), [*FORM, *VALUES, *URLS, *ROUTES, *SEVERAL])
def test_problem_names_place_key_and_remedy(tmp_path: Path, text: str | bytes, expected: list[str]) -> None:
    assert problems(tmp_path / "gateway.yaml", text) == expected


def test_no_value_is_repeated_where_it_may_be_a_secret(tmp_path: Path) -> None:
    text = (
        "secret_key: [hunter2]\ndatabase: {url: {hunter2: hunter3}}\n"
        + ROUTE
        + "match: {headers: {X-Key: [hunter4]}}}\n"
    )
    assert problems(tmp_path / "gateway.yaml", text) == [
        "1:1: secret_key: must be text",
        "2:12: database.url: must be text",
        "4:44: routes[0].match.headers.X-Key: must be text",
    ]


UNSUPPORTED = """\
tests: []
server:
  workers: 4
upstreams:
  a: {servers: http://a}
  b: {servers: http://a}
routes:
  - upstream: a
    shadow: true
    require: {time: {hours: 08:00-18:00}, all: [{not: {time: {days: [sat]}}}]}
  - upstream: b
"""


def test_key_of_a_later_feature_is_refused_by_name(tmp_path: Path) -> None:
    found = problems(tmp_path / "gateway.yaml", UNSUPPORTED)
    keys = [problem.split(": ")[1] for problem in found]
    assert {problem.split(": ")[2] for problem in found} == {"is not supported yet"}
    assert keys == [
        "tests",
        "server.workers",
        "routes[0].shadow",
        "routes[0].require.time",
        "routes[0].require.all[0].not.time",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.yaml", "cannot be read: No such file or directory"),
        ("", "cannot be read: Is a directory"),
        ("a\0b", "is not a file's name"),
    ],
)
def test_file_that_cannot_be_read_is_one_problem(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path / name, {})
    assert [problem.message for problem in caught.value.problems] == [message]


def test_giant_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    found = problems(tmp_path / "gateway.yaml", b"# " + b"x" * (16 * 1024 * 1024))
    assert found == ["is larger than 16 MiB"]
