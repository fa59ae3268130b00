"""What is counted of clients' connections."""

from __future__ import annotations

from gateway.listening.hall import Hall
from gateway.listening.patrol import Patrol
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
