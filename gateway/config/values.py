"""The kinds of value that the configuration holds. Each refuses what it cannot be, in words for its author."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from gateway.errors import TargetRejected
from gateway.policy.backtracking import may_explode
from gateway.policy.client import UNIX_PEERS
from gateway.policy.host import MAX_PORT, parse_authority, parse_host
from gateway.policy.target import parse_target

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_SCOPE: Final = re.compile(r"[!#-\[\]-~]+")  # RFC 6749 section 3.3
_LABEL: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,100}")
_UPSTREAM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PORTAL_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_URL_CHARACTERS: Final = re.compile(r"[!-~]+")


def _listed(value: Any) -> Any:
    """A single value stands for a list of one."""
    return (value,) if isinstance(value, str | dict) else value


def _split(text: str) -> SplitResult:
    if not _URL_CHARACTERS.fullmatch(text):
        raise ValueError("must be a URL without spaces or other characters than ASCII")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("must be a URL that starts with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password")
    if port == 0:
        raise ValueError("must not have port 0")
    if "?" in text or "#" in text:
        raise ValueError("must not have a query or fragment")
    try:
        parse_authority(parts.netloc)
    except TargetRejected as error:
        raise ValueError("names no host that a request could be for") from error
    return parts


def origin(text: str) -> str:
    """Return scheme, host and port in their one spelling (RFC 6454 section 6.2). Raises ValueError."""
    parts = _split(text)
    if parts.path not in {"", "/"}:
        raise ValueError("must not have a path: write only scheme, host and port")
    host, port = parse_authority(parts.netloc)
    given = "" if port in {None, DEFAULT_PORTS[parts.scheme]} else f":{port}"
    return f"{parts.scheme}://{host}{given}"


def _issuer(text: str) -> str:
    _split(text)
    return text


def _host(text: str) -> str:
    wildcard = "*." if text.startswith("*.") else ""
    name = text.removeprefix("*.")
    try:
        parse_authority(name)
    except TargetRejected as error:
        raise ValueError("must be a host name, such as wiki.example.com or *.example.com") from error
    try:
        return wildcard + parse_host(name)
    except TargetRejected as error:
        raise ValueError("must not have a port: a host is matched on every port") from error


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=True))
    except ValueError as error:
        if "host bits" in str(error):
            meant = ipaddress.ip_network(text, strict=False)
            raise ValueError(f"has bits set behind its prefix; did you mean {meant}?") from error
        raise ValueError("must be an address or network, such as 10.1.2.3 or 10.0.0.0/8") from error


def _trusted_proxy(text: str) -> str:
    return text if text == UNIX_PEERS else _network(text)


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    if may_explode(text):
        raise ValueError("repeats what can match in several ways, which may take for ever: write a++ for a+ inside")
    return text


def _field_name(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError("is not an HTTP field name")
    return text


def _method(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError("is not an HTTP method")
    return text.upper()


def _path_pattern(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("must start with /")
    if "//" in text or "\\" in text or re.search(r"[?#\x00-\x20\x7f]", text):
        raise ValueError("must be a path without //, \\, query, fragment or spaces")
    if "**" in text.removesuffix("/**"):
        raise ValueError("** may stand only at the end, after a slash")
    if any("*" in part and part not in {"*", "**"} for part in text.split("/")):
        raise ValueError("* stands for a whole segment; use path_regex for parts of one")
    return text


def _prefix(text: str) -> str:
    if text and (not text.startswith("/") or text.endswith("/") or "//" in text or re.search(r"[?#\s*]", text)):
        raise ValueError("must be empty or start with / and not end with it")
    return text


def _portal_prefix(text: str) -> str:
    if not _PORTAL_PREFIX.fullmatch(text):
        raise ValueError("must be empty or a path such as /gateway, of letters, digits, - . _ ~, without / at its end")
    return text


def _label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError("must be 1 to 100 characters without control characters")
    return text


def _scope(text: str) -> str:
    if not _SCOPE.fullmatch(text):
        raise ValueError("must be printable ASCII without spaces, quotes or backslashes")
    return text


def _upstream_name(text: str) -> str:
    if not _UPSTREAM.fullmatch(text):
        raise ValueError("must be a name of letters, digits, - . _ (at most 63)")
    return text


def _listen(text: str) -> str:
    if text.startswith("unix:"):
        return _socket(text)
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
        raise ValueError("must be ADDRESS:PORT, such as 127.0.0.1:8080, or unix:/path")
    try:
        bracketed = host.startswith("[") and host.endswith("]")
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError as error:
        if host != "localhost":
            raise ValueError("must be an IP address and port, such as 0.0.0.0:8080") from error
        return text
    if (address.version == 6) is not bracketed:  # noqa: PLR2004 - IPv6
        raise ValueError("must have an IPv6 address in brackets, and only that: [::]:8080")
    return text


def _socket(text: str) -> str:
    longest = 107  # sun_path of unix(7), without its last NUL
    if not text.startswith("unix:/") or "\0" in text or len(text.removeprefix("unix:").encode()) > longest:
        raise ValueError(f"must be unix: and an absolute path of at most {longest} bytes")
    return text


def server_address(text: str) -> str:
    """Return where a server is in its one spelling: an origin or ``unix:/path``. Raises ValueError."""
    return _socket(text) if text.startswith("unix:") else origin(text)


def _authority(text: str) -> str:
    try:
        parse_authority(text)
    except TargetRejected as error:
        raise ValueError("must be a host, with a port if need be, such as wiki.example.com:8000") from error
    return text


def _server_name(text: str) -> str:
    try:
        return parse_host(text).strip("[]")
    except TargetRejected as error:
        raise ValueError("must be a host name without a port") from error


def _probe_path(text: str) -> str:
    try:
        parse_target("GET", text, "localhost", "http")
    except TargetRejected as error:
        raise ValueError(f"must be a path such as /healthz ({error.reason})") from error
    if not text.startswith("/"):
        raise ValueError("must be a path such as /healthz")
    return text


def _anchored(path: Path, info: ValidationInfo) -> Path:
    """Paths in a file are relative to the file, so that it means the same from every working directory."""
    if "\0" in str(path):
        raise ValueError("must be a path")
    base = (info.context or {}).get("base")
    return path if base is None else base / path


def _cors_origin(text: str) -> str:
    return text if text == "*" else origin(text)


def _audience(text: str) -> str:
    # RFC 8707 section 2 asks for an absolute URI; a plain name serves where clients do not ask for a resource.
    if not re.fullmatch(r"[!-~]{1,255}", text) or "#" in text or '"' in text:
        raise ValueError("must be an address or a name of printable ASCII characters, without spaces, quotes or #")
    return text


OneOrMore = BeforeValidator(_listed)
Audience = Annotated[str, AfterValidator(_audience)]
CorsOrigin = Annotated[str, AfterValidator(_cors_origin)]
Origin = Annotated[str, AfterValidator(origin)]
Issuer = Annotated[str, AfterValidator(_issuer)]
Host = Annotated[str, AfterValidator(_host)]
Network = Annotated[str, AfterValidator(_network)]
Pattern = Annotated[str, AfterValidator(_pattern)]
FieldName = Annotated[str, AfterValidator(_field_name)]
Method = Annotated[str, AfterValidator(_method)]
PathPattern = Annotated[str, AfterValidator(_path_pattern)]
TrustedProxy = Annotated[str, AfterValidator(_trusted_proxy)]
Prefix = Annotated[str, AfterValidator(_prefix)]
PortalPrefix = Annotated[str, AfterValidator(_portal_prefix)]
Label = Annotated[str, AfterValidator(_label)]
Scope = Annotated[str, AfterValidator(_scope)]
UpstreamName = Annotated[str, AfterValidator(_upstream_name)]
ServerAddress = Annotated[str, AfterValidator(server_address)]
Authority = Annotated[str, AfterValidator(_authority)]
ServerName = Annotated[str, AfterValidator(_server_name)]
ProbePath = Annotated[str, AfterValidator(_probe_path)]
Listen = Annotated[str, AfterValidator(_listen)]
FilePath = Annotated[Path, AfterValidator(_anchored)]
