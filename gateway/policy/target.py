"""The canonical target of a request: the only reading of it that anything decides on.

Nothing is normalised here. A target that two programs could read differently is refused, so that the bytes
that were decided on are the bytes that are forwarded.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, NoReturn
from urllib.parse import unquote_to_bytes

from gateway.errors import TargetRejected
from gateway.policy.host import parse_authority

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
MAX_DECODINGS: Final = 8  # deeper nesting is refused: nobody means it, and each level costs a pass
_CACHE_SIZE: Final = 4096
_CACHED_LENGTH: Final = 256

# Names are case-sensitive (RFC 9110 section 9.1), yet upstreams fold them: only one spelling is let in.
_METHOD: Final = re.compile(r"[A-Z][A-Z0-9_-]{0,31}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ABSOLUTE: Final = re.compile(r"(https?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
# Nothing in it needs a closer look: no escapes, no parameters, no segment that starts with a dot.
_PLAIN: Final = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*+)++/?|/")
_QUERY: Final = re.compile(r"[!-\"$-~]*+")
_UNSAFE: Final = re.compile(r"[^!-\"$-\[\]-~]")

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODED: Final = re.compile(rb"%(2[Ff]|5[Cc]|[01][0-9A-Fa-f]|7[Ff])")
# A segment's parameters are cut off by some servers before they resolve dots: ``/..;x/`` climbs there.
_DOTS: Final = re.compile(rb"/\.\.?(?:;[^/]*+)?(?:/|\Z)")
_EMPTY: Final = re.compile(rb"/(?:;[^/]*+)?/")
_ONLY_PARAMETERS: Final = re.compile(rb"/;[^/]*+\Z")
_OVERLONG: Final = re.compile(rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]|[\xf8-\xfd][\x80-\xbf]")


class Target(NamedTuple):
    """What a request is for. A tuple, because one is made for each request.

    ``host`` is in its one spelling (``gateway.policy.host``); ``port`` is None when it is the scheme's own.
    ``path`` is as the client sent it and as it is forwarded; ``segments`` are its parts decoded once, without
    parameters, and ``trailing_slash`` tells whether it ended with one. ``query`` is None without a ``?``.
    """

    method: str
    scheme: str
    host: str
    port: int | None
    path: str
    segments: tuple[str, ...]
    trailing_slash: bool
    query: str | None

    @property
    def raw(self) -> str:
        """The origin-form that is forwarded (RFC 9112 section 3.2.1)."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    @property
    def authority(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.raw}"

    @property
    def decoded_path(self) -> str:
        """What ``path_regex`` sees: decoded once, without parameters."""
        return "/" + "/".join(self.segments) + ("/" if self.trailing_slash and self.segments else "")


class _Path(NamedTuple):
    segments: tuple[str, ...]
    trailing_slash: bool


# What was read before: whole targets, and paths for those with a query (which seldom comes twice, and may
# hold a secret). Bounded by emptying: a client that fills them costs others one parse each.
_targets: dict[tuple[str, str, str | None, str], Target] = {}
_paths: dict[str, _Path] = {}


def parse_target(method: str, raw_target: str, host_header: str | None, scheme: str) -> Target:
    """Read a request line's method and target together with its Host and the connection's scheme.

    Origin-form and absolute-form (RFC 9112 section 3.2) are read; the latter must agree with ``host_header``
    and ``scheme``. Raises TargetRejected with a reason out of ``REJECTIONS``, and nothing else.
    """
    key = (method, raw_target, host_header, scheme)
    known = _targets.get(key)
    if known is not None:
        return known
    target = _read(method, raw_target, host_header, scheme)
    if target.query is None and len(raw_target) <= _CACHED_LENGTH:
        if len(_targets) >= _CACHE_SIZE:
            _targets.clear()
        _targets[key] = target
    return target


def parse_url(method: str, url: str) -> Target:
    """Read an absolute URL, as a trusted proxy or a person gives it. Raises TargetRejected."""
    match = _ABSOLUTE.match(url)
    if match is None:
        raise TargetRejected("not_absolute")
    # Its path alone is read sooner; what else may follow the host is looked at there.
    rest = match[3] if match[3].startswith("/") else url
    return parse_target(method, rest, match[2], match[1].lower())


def _read(method: str, raw_target: str, host_header: str | None, scheme: str) -> Target:
    if method not in _METHODS:
        _check_method(method)
    if not host_header:
        raise TargetRejected("missing_host")
    if scheme not in DEFAULT_PORTS:
        raise TargetRejected("bad_scheme")
    host, port = parse_authority(host_header)
    if port is not None and port == DEFAULT_PORTS[scheme]:
        port = None
    if raw_target[:1] != "/":
        raw_target = _origin_form(raw_target, host, port, scheme)
    path, mark, query = raw_target.partition("?")
    segments, trailing_slash = _paths.get(path) or _read_path(path)
    if not mark:
        return Target(method, scheme, host, port, path, segments, trailing_slash, None)
    if not _QUERY.fullmatch(query):
        _refuse_bytes(query)
    return Target(method, scheme, host, port, path, segments, trailing_slash, query)


def _check_method(method: str) -> None:
    if not _METHOD.fullmatch(method):
        raise TargetRejected("bad_method")
    if method == "CONNECT":
        raise TargetRejected("connect")  # a tunnel, whatever the form of its target (RFC 9110 section 9.3.6)


def _origin_form(raw_target: str, host: str, port: int | None, scheme: str) -> str:
    """Return the origin-form inside an absolute-form that agrees with everything else about the request."""
    if raw_target == "*":
        raise TargetRejected("asterisk_form")
    match = _ABSOLUTE.match(raw_target)
    if match is None:
        raise TargetRejected("not_origin_form")
    if match[1].lower() != scheme:
        raise TargetRejected("scheme_mismatch")
    named_host, named_port = parse_authority(match[2])
    if named_port == DEFAULT_PORTS[scheme]:
        named_port = None
    if (named_host, named_port) != (host, port):
        raise TargetRejected("host_mismatch")
    rest = match[3]
    if rest.startswith("#"):
        raise TargetRejected("fragment")
    return rest if rest.startswith("/") else f"/{rest}"


def _read_path(path: str) -> _Path:
    if _PLAIN.fullmatch(path):
        segments = path[1:].split("/")
    else:
        segments = [segment.partition(";")[0] for segment in _decode_checked(path)[1:].split("/")]
    trailing_slash = not segments[-1]
    parsed = _Path(tuple(segments[:-1] if trailing_slash else segments), trailing_slash)
    if len(path) <= _CACHED_LENGTH:
        if len(_paths) >= _CACHE_SIZE:
            _paths.clear()
        _paths[path] = parsed
    return parsed


def _decode_checked(path: str) -> str:
    """Return the path decoded once, after looking at what every further decoding would make of it."""
    if _UNSAFE.search(path):
        _refuse_bytes(path)
    level = path.encode("ascii")
    if _BAD_ESCAPE.search(level):
        raise TargetRejected("bad_escape")
    once: bytes | None = None
    ends_in_parameters = _ONLY_PARAMETERS.search(level) is not None
    for _ in range(MAX_DECODINGS):
        _check_level(level)
        if not ends_in_parameters and _ONLY_PARAMETERS.search(level):
            raise TargetRejected("empty_segment")  # /%3Bx names a resource to some, and / to others
        deeper = unquote_to_bytes(level)
        if once is None:
            once = deeper
        if deeper == level:
            break
        if _OVERLONG.search(deeper):
            raise TargetRejected("overlong_utf8")
        level = deeper
    else:
        raise TargetRejected("over_encoded")
    try:
        return once.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TargetRejected("bad_utf8") from error


def _check_level(level: bytes) -> None:
    """Refuse what would be a separator, a control byte or a way up, here or one decoding deeper."""
    encoded = _ENCODED.search(level)
    if encoded is not None:
        reasons = {b"2F": "encoded_slash", b"5C": "encoded_backslash"}
        raise TargetRejected(reasons.get(encoded[1].upper(), "encoded_control"))
    if _DOTS.search(level):
        raise TargetRejected("dot_segment")
    if _EMPTY.search(level):
        raise TargetRejected("empty_segment")


def _refuse_bytes(text: str) -> NoReturn:
    if not text.isascii():
        raise TargetRejected("non_ascii")
    if "#" in text:
        raise TargetRejected("fragment")
    raise TargetRejected("backslash" if "\\" in text else "control_byte")
