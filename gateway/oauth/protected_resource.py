"""Metadata of protected resources (RFC 9728): where a program that was refused gets a token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web

from gateway.oauth.cors import endpoint
from gateway.oauth.problem import OAuthError, json_answer
from gateway.policy.resource import WELL_KNOWN, Resource

HostOf = Callable[[web.Request], str]


class ProtectedResources:
    """Serves a document for each route that is a resource, on its own host, and one for the portal's API."""

    def __init__(self, resources: Iterable[Resource], portal: Resource, issuer: str, host_of: HostOf) -> None:
        self._host_of = host_of
        found = {(portal.host, portal.metadata_path): portal}
        for resource in resources:
            place = (resource.host, resource.metadata_path)
            before = found.get(place)
            # Several routes may share a place: what any of them requires can be asked for.
            more = set(before.scopes) if before is not None and before.identifier == resource.identifier else set()
            found[place] = replace(resource, scopes=tuple(sorted(more | set(resource.scopes))))
        self._documents: Mapping[tuple[str, str], Mapping[str, Any]] = {
            place: resource.document(issuer) for place, resource in found.items()
        }

    @property
    def places(self) -> frozenset[tuple[str, str]]:
        """Host and path of each document."""
        return frozenset(self._documents)

    def routes(self) -> list[web.RouteDef]:
        # RFC 8615 section 3: well-known addresses stand at the origin's root, whatever the portal's prefix.
        paths = (WELL_KNOWN, f"{WELL_KNOWN}/{{resource:.*}}")
        return [route for path in paths for route in endpoint(path, self.document, "GET")]

    async def document(self, request: web.Request) -> web.Response:
        """Answer the document of this host and path."""
        document = self._documents.get((self._host_of(request), request.path))
        if document is None:
            raise OAuthError("not_found", "There is no protected resource of this name.", status=404)
        return json_answer(document, headers={"Cache-Control": "public, max-age=300"})
