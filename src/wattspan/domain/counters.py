"""Counters of the process rather than of a charge point: incremented where something happens, read at a scrape."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class NodeCounters:
    """Counters and gauges of a node of a cluster."""

    nodes: int = 1
    """Nodes of the cluster that live, as of the last look."""
    takeovers: int = 0
    """Charge points that this node took from another one because they connected here."""
    adoptions: int = 0
    """Charge points that this node took because their node was gone."""
    fenced_writes: int = 0
    """Charge points left out of a batch because another node owns them."""
    clock_difference_s: float = 0.0
    """This machine's clock minus PostgreSQL's, as of the last heartbeat."""
    leased_at: float = float("-inf")
    """When PostgreSQL took the last heartbeat, by the monotonic clock."""
    leased_until: float = float("-inf")
    """Until then nobody can have adopted this node's charge points, by the monotonic clock."""


@dataclass(slots=True)
class ServerCounters:
    """Counters since process start, and a few gauges. Keys are metric labels, bounded by the code that increments."""

    started_ts: float
    messages: dict[tuple[str, str], int] = field(default_factory=dict)
    """Frames by (direction: "in" or "out", message_type: the action, or "other")."""
    sockets: int = 0
    """Open WebSockets now."""
    handshakes_rejected: dict[str, int] = field(default_factory=dict)
    """By reason."""
    limit_closes: dict[str, int] = field(default_factory=dict)
    """Connections closed because the peer exceeded a limit, by reason."""
    pending: int = 0
    """Charge points that are waiting for approval now."""
    certificate_expires_ts: float | None = None
    """When the certificate of the OCPP port expires, Unix seconds; None: the port has no TLS."""
    unexpected_results: int = 0
    """CALLRESULT and CALLERROR messages that answer no outstanding CALL."""
    result_errors: dict[str, int] = field(default_factory=dict)
    """CALLRESULTERROR by code: answers of ours that a charge point could not process (2.1)."""
    unreadable_frames: int = 0
    unobserved: dict[str, int] = field(default_factory=dict)
    """What an observer of other systems' conversations did not record, by reason."""
    proxy_unobserved: dict[str, int] = field(default_factory=dict)
    """Messages that the proxy relayed and did not observe, by reason."""
    proxy_redirections: dict[str, int] = field(default_factory=dict)
    """Commands that may make a charge point bypass the proxy, by action."""
    mirror_messages: dict[tuple[str, str], int] = field(default_factory=dict)
    """CALLs copied to mirrors, by (mirror, outcome)."""
    mirror_differences: dict[tuple[str, str], int] = field(default_factory=dict)
    """Answers of mirrors that differ from the central system's, by (mirror, kind)."""
    routed_commands: dict[str, int] = field(default_factory=dict)
    """Commands sent to other nodes of a cluster, by outcome."""
    bus_dropped: int | None = None
    """Events, presence records and notices for other nodes that were dropped; None: there is no cluster."""
    plugin_errors: dict[tuple[str, str], int] = field(default_factory=dict)
    """By (plugin, kind: "raised", "timeout", "dropped")."""
    telemetry_dropped: dict[str, int] = field(default_factory=dict)
    """Records lost by signal: "traces", "metrics", "logs"."""
    history_dropped: dict[str, int] = field(default_factory=dict)
    """What the history lost, by kind: "messages", "changes", "blocks"."""
    maintenance_failures: dict[str, int] = field(default_factory=dict)
    """Turns of a periodic task that failed, by task."""
    store_waiting: int = 0
    """Answers that are waiting for the store now."""
    store_failures: int = 0
    http_requests: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """By (method, status, endpoint: the route's template)."""
    logins: int = 0
    logins_failed: int = 0
    lockouts: int = 0
    registrations: int = 0
    registration_conflicts: int = 0
    node: NodeCounters | None = None
    """None: this is no node of a cluster."""
    user_sessions: int = 0
    """Logins that have not ended, as of the last check."""

    def maintenance_failed(self, task: str) -> None:
        """Count a turn of a periodic task that failed."""
        self.maintenance_failures[task] = self.maintenance_failures.get(task, 0) + 1
