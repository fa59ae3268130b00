"""Parameters: read strictly, whatever is sent, and refused in words that may be shown."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer, make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from gateway.oauth.parameters import Parameters, parse_parameters, read_parameters
from gateway.oauth.problem import OAuthError, json_answer, oauth_endpoint

SHOWABLE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 5.2
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
FORM = "application/x-www-form-urlencoded"
names = st.sampled_from(["scope", "state", "code", "client_id", "resource", "audience", "other"]) | st.text(
    max_size=120
)
texts = st.text(max_size=40)


def read(encoded: bytes) -> Parameters | OAuthError:
    try:
        return parse_parameters(encoded)
    except OAuthError as error:
        return error


def refusal(encoded: bytes) -> OAuthError:
    outcome = read(encoded)
    assert isinstance(outcome, OAuthError), outcome
    return outcome


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_parameters_or_an_error_that_may_be_shown(encoded: bytes) -> None:
    outcome = read(encoded)
    if isinstance(outcome, OAuthError):
        assert (outcome.error, outcome.status) == ("invalid_request", 400)
        assert SHOWABLE.fullmatch(outcome.description)
        return
    for name, value in outcome.items():
        assert value
        assert not CONTROL.search(name + value)
        assert (name + value).encode()


@given(st.lists(st.tuples(names, texts), max_size=12))
def test_what_is_taken_is_what_was_sent_each_name_once(pairs: list[tuple[str, str]]) -> None:
    encoded = urlencode(pairs, errors="surrogatepass").encode()
    parameters = read(encoded)
    if isinstance(parameters, OAuthError):
        return
    sent = {name: value for name, value in pairs if value and name not in {"resource", "audience"}}
    assert {name: parameters[name] for name in sent} == sent
    for repeatable in ("resource", "audience"):
        assert list(parameters.all(repeatable)) == [value for name, value in pairs if name == repeatable and value]
    once = [name for name, _ in pairs if name not in {"resource", "audience"}]
    assert len(once) == len(set(once))


@given(st.dictionaries(st.sampled_from(["resource", "state", "scope"]), st.lists(texts.filter(bool), min_size=1)))
def test_what_is_stored_is_read_back(values: dict[str, list[str]]) -> None:
    values = {name: each if name == "resource" else each[:1] for name, each in values.items()}
    first = Parameters(values)
    again = Parameters(first.values_by_name())
    assert {name: again.all(name) for name in again} == values
    assert list(again) == list(first)


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(b"state=%ff", id="not utf-8"),
        pytest.param(b"state=%ed%a0%80", id="half a surrogate"),
        pytest.param(b"state=%c0%af", id="overlong"),
        pytest.param(b"%ff=1", id="a name that is not utf-8"),
        pytest.param("state=ä".encode(), id="raw utf-8"),
        pytest.param(b"state=\xff", id="raw bytes"),
        pytest.param(b"state=a%00", id="nul"),
        pytest.param(b"state=%1b", id="escape"),
        pytest.param(b"state=%7f", id="delete"),
        pytest.param(b"a%00b=1", id="nul in a name"),
        pytest.param(b"x" * 101 + b"=1", id="a long name"),
        pytest.param(b"state=" + b"a" * 8193, id="a long value"),
        pytest.param(b"scope=a&scope=b", id="twice"),
        pytest.param(b"scope=a&scope=a", id="twice alike"),
        pytest.param(b"scope=&scope=a", id="twice, once without a value"),
        pytest.param(b"&".join(b"a%d=1" % n for n in range(101)), id="101"),
        pytest.param(b"scope=%C3%A4", id="scope beyond ASCII"),
        pytest.param(b"scope=a%22b", id="scope with a quote"),
        pytest.param(b"scope=a%5Cb", id="scope with a backslash"),
        pytest.param(b"grant_type=%22", id="grant_type with a quote"),
        pytest.param(b"response_type=%5C", id="response_type with a backslash"),
        pytest.param(b"redirect_uri=https://a.example/%0d%0aX:1", id="redirect_uri with a line end"),
        pytest.param(b"redirect_uri=https://a.example/%C3%A4", id="redirect_uri beyond ASCII"),
        pytest.param(b"client_id=%C3%A4", id="client_id beyond ASCII"),
        pytest.param(b"code=%0a", id="code with a line end"),
    ],
)
def test_what_is_refused(encoded: bytes) -> None:
    error = refusal(encoded)
    assert (error.error, error.status) == ("invalid_request", 400)
    assert SHOWABLE.fullmatch(error.description)


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        pytest.param(b"", {}, id="nothing"),
        pytest.param(b"&&&", {}, id="ampersands"),
        pytest.param(b"scope", {}, id="a name alone"),
        pytest.param(b"scope=", {}, id="without a value"),
        pytest.param(b"scope=a+b%20c", {"scope": "a b c"}, id="spaces"),
        pytest.param(b"state=%F0%9F%99%82", {"state": "\U0001f642"}, id="state in any script"),
        pytest.param(b"state=a%0d%0ab%09", {"state": "a\r\nb\t"}, id="state with line ends"),
        pytest.param(b"state=a;b=c", {"state": "a;b=c"}, id="a semicolon separates nothing"),
        pytest.param(b"state=" + b"a" * 8192, {"state": "a" * 8192}, id="the longest value"),
        pytest.param(b"x" * 100 + b"=1", {"x" * 100: "1"}, id="the longest name"),
        pytest.param(b"&".join(b"a%d=1" % n for n in range(100)), {f"a{n}": "1" for n in range(100)}, id="100"),
        pytest.param(b"resource=a&resource=b", {"resource": "a"}, id="resource twice"),
        pytest.param(b"password=%22%5C%C3%A4", {"password": '"\\\u00e4'}, id="a password of any characters"),
    ],
)
def test_what_is_taken(encoded: bytes, expected: dict[str, str]) -> None:
    assert dict(parse_parameters(encoded)) == expected


def test_values_are_not_shown() -> None:
    assert "hunter2" not in repr(Parameters({"password": "hunter2", "resource": ["a", "hunter2"]}))


def test_too_much_is_too_large() -> None:
    assert refusal(b"a=" + b"&" * 65536).status == 413


# Over a socket


@pytest.fixture
async def origin() -> AsyncIterator[str]:
    """Serve an endpoint that answers what it has read."""

    async def read(request: web.Request) -> web.Response:
        return json_answer(dict(await read_parameters(request)))

    application = web.Application()
    application.add_routes([web.route("*", "/", oauth_endpoint(read))])
    server = TestServer(application)
    await server.start_server()
    yield str(server.make_url("/"))
    await server.close()


@pytest.mark.parametrize(
    ("method", "query", "headers", "body", "status", "expected"),
    [
        pytest.param("GET", "?a=1&b=%C3%A4", {}, None, 200, {"a": "1", "b": "ä"}, id="query of GET"),
        pytest.param("POST", "", {"Content-Type": FORM}, b"a=1", 200, {"a": "1"}, id="form of POST"),
        pytest.param("POST", "?a=2", {"Content-Type": FORM}, b"a=1", 200, {"a": "1"}, id="the form alone counts"),
        pytest.param("POST", "", {"Content-Type": f"{FORM}; charset=UTF-8"}, b"a=1", 200, {"a": "1"}, id="charset"),
        pytest.param("POST", "", {"Content-Type": FORM.upper()}, b"a=1", 200, {"a": "1"}, id="capitals"),
        pytest.param("POST", "", {"Content-Type": "application/json"}, b"{}", 400, None, id="json"),
        pytest.param("POST", "", {"Content-Type": "multipart/form-data; boundary=x"}, b"", 400, None, id="multipart"),
        pytest.param("POST", "", {"Content-Type": ""}, b"a=1", 400, None, id="no type"),
        pytest.param("POST", "?access_token=x", {"Content-Type": FORM}, b"a=1", 400, None, id="a token in the address"),
        pytest.param("POST", "", {"Content-Type": FORM}, b"a=" + b"x" * 70_000, 413, None, id="too large"),
        pytest.param("GET", "?a=%ff", {}, None, 400, None, id="query that is not utf-8"),
        pytest.param("GET", "?a=1&a=1", {}, None, 400, None, id="query with a name twice"),
    ],
)
async def test_each_method_has_its_one_place(
    origin: str,
    method: str,
    query: str,
    headers: dict[str, str],
    body: bytes | None,
    status: int,
    expected: dict[str, str] | None,
) -> None:
    async with ClientSession() as session:
        url = URL(f"{origin}{query}", encoded=True)
        answer = await session.request(method, url, data=body, headers=headers, skip_auto_headers=["Content-Type"])
        document = await answer.json()
    assert answer.status == status, document
    assert (document if expected is not None else document["error"]) == (expected or "invalid_request")


@pytest.mark.parametrize("types", [[], [FORM, FORM], [FORM, "application/json"], ["application/json", FORM]], ids=str)
async def test_there_is_one_content_type(types: list[str]) -> None:
    """Servers refuse two in many cases already; this does not rest on it."""
    request = make_mocked_request("POST", "/", headers=CIMultiDict([("Content-Type", each) for each in types]))
    with pytest.raises(OAuthError, match="The body must be"):
        await read_parameters(request)


async def test_a_body_without_an_end_is_not_waited_for(origin: str) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1000:
            sent += 1
            yield b"a" * 65536

    async with ClientSession() as session:
        try:
            answer = await session.post(origin, data=endless(), headers={"Content-Type": FORM})
            assert answer.status == 413
        except OSError:
            assert sent > 1  # closed while it was being sent
    assert sent < 1000
