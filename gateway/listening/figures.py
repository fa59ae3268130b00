"""What is counted of clients' connections."""

from __future__ import annotations

from gateway.listening.hall import Hall
from gateway.listening.patrol import Patrol
from gateway.listening.renewal import Certificates
from gateway.observability.metrics import Metrics


def count_clients(metrics: Metrics, hall: Hall, patrol: Patrol) -> None:
    """Have the metrics tell how many connections there are, and how many were refused or ended."""
    metrics.gauge("gateway_client_connections", "Open connections of clients.", lambda: hall.capacity.taken)
    metrics.gauge("gateway_client_connections_max", "The most that there may be.", lambda: hall.capacity.most)
    metrics.labelled_counter(
        "gateway_client_connections_refused", "Connections that were not let in.", "reason", lambda: hall.refused
    )
    metrics.labelled_counter(
        "gateway_client_connections_ended",
        "Connections that were ended because their client took too long.",
        "reason",
        lambda: patrol.ended,
    )


def count_certificates(metrics: Metrics, certificates: Certificates) -> None:
    """Have the metrics tell whether the certificates in use are those of the files, and until when they are good."""
    metrics.gauge(
        "gateway_certificate_current",
        "1 while the certificates in use are those in the files, 0 when these cannot be used.",
        lambda: float(certificates.current),
    )
    metrics.gauge(
        "gateway_certificate_expiry_timestamp_seconds",
        "When the first of the certificates in use ends.",
        lambda: certificates.expires_at,
    )
