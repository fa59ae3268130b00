"""What a route with ``resource: true`` is called by OAuth clients: the address that it is reached at."""

from __future__ import annotations

from urllib.parse import urlsplit

from gateway.config.settings import Settings
from gateway.policy.path_pattern import PathPattern
from gateway.policy.requirements import required_scopes
from gateway.policy.resource import Resource
from gateway.policy.rules import Rule


def resource_of(settings: Settings, rule: Rule) -> Resource:
    """Return the resource that a route is. Raises ValueError when that does not follow from what it matches."""
    portal = urlsplit(settings.server.public_origin)
    hosts, paths = rule.match.hosts, rule.match.path_patterns()
    if len(hosts) > 1 or any(host.startswith("*.") for host in hosts):
        raise ValueError("needs one exact host in match.host, so that clients know its address; or give audience")
    if len(paths) != 1:
        raise ValueError("needs one path in match.path, so that clients know its address; or give audience")
    host = hosts[0] if hosts else str(portal.hostname)
    port = f":{portal.port}" if portal.port is not None else ""
    origin = f"{portal.scheme}://{f'[{host}]' if ':' in host and '[' not in host else host}{port}"
    path = _path(paths[0])
    return Resource(
        identifier=f"{origin}{path}",
        origin=origin,
        host=host,
        path=path,
        name=rule.name,
        scopes=tuple(sorted(required_scopes(rule.requirement))),
    )


def _path(pattern: PathPattern) -> str:
    """Return the address that every path of a pattern begins with, without a slash at its end."""
    text = pattern.text.removesuffix("/**").removesuffix("/") if pattern.any_rest else pattern.text.removesuffix("/")
    if "*" in text:
        raise ValueError("needs a path without * before its end, so that clients know its address; or give audience")
    return text
