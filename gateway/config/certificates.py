"""Whether the files of ``server.tls`` can be used: told with the keys that name them, before anything starts."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.document import Finding, KeyPath
from gateway.config.server import Server
from gateway.listening.certificates import CertificateRejected, KeyPair, load


def certificate_findings(server: Server) -> Iterator[Finding]:
    """Yield the first thing wrong with each pair of files, and with the CA file."""
    if server.tls is None:
        return
    tls: KeyPath = ("server", "tls")
    pairs = [(tls, server.tls), *(((*tls, "sni", index), pair) for index, pair in enumerate(server.tls.sni))]
    for path, pair in pairs:
        # The CA file is told of once, with the first pair.
        client_ca_file = server.tls.client_ca_file if path == tls else None
        try:
            load([KeyPair(pair.cert_file, pair.key_file)], client_ca_file)
        except CertificateRejected as error:
            keys = {pair.cert_file: "cert_file", pair.key_file: "key_file"}
            yield Finding((*path, keys.get(error.path, "client_ca_file")), str(error))
