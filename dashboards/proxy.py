"""The dashboard *Proxy*: the central system behind `wattspan proxy`, and its mirrors."""

from dashboards.events import process_events
from dashboards.model import Dashboard, Query, Row
from dashboards.panels import above, bars, heatmap, lines, stat
from dashboards.parts import ADDRESSES, LINKS, datasource

_REJECTED = "ocpp_central_handshakes_rejected_total"
_BY_UPSTREAM = 'reason=~"upstream_.+"'

UPSTREAM = Row(
    title="Central system",
    panels=(
        stat(
            "Charge Points Relayed",
            "Connected through the proxy now.",
            "none",
            Query(expr="sum(ocpp_central_sockets and on (instance) ocpp_proxy_upstream_seconds_count)"),
        ),
        stat(
            "Answer Time",
            "p95 over all messages of the period shown. Runbook: ProxyUpstreamSlow.",
            "s",
            Query(
                expr="histogram_quantile(0.95, sum by (le) (increase(ocpp_proxy_upstream_seconds_bucket[$__range])))",
                exemplar=True,
            ),
            defaults={"thresholds": above(0.5, 1)},
        ),
        stat(
            "Refused Handshakes",
            "By the central system, in the period shown. Runbook: ProxyUpstreamRefuses.",
            "none",
            Query(expr=f"round(sum(increase({_REJECTED}{{{_BY_UPSTREAM}}}[$__range])))"),
            defaults={"thresholds": above(1, 10), "noValue": "none"},
        ),
        stat(
            "Unobserved Messages",
            "Delivered, but missing from metrics and traces, in the period shown. Runbook: ProxyMessagesUnobserved.",
            "none",
            Query(expr="round(sum(increase(ocpp_proxy_unobserved_total[$__range])))"),
            defaults={"thresholds": above(1, 10), "noValue": "none"},
        ),
        heatmap(
            "Answer Time of the Central System",
            "From relaying a message until its answer was relayed. Dots are exemplars and open traces.",
            "s",
            Query(
                expr="sum by (le) (increase(ocpp_proxy_upstream_seconds_bucket[$__rate_interval]))",
                legend="{{le}}",
                exemplar=True,
            ),
        ),
        lines(
            "Answer Time by Message Type",
            "p95. Runbook: ProxyUpstreamSlow.",
            "s",
            Query(
                expr="histogram_quantile(0.95, "
                "sum by (le, message_type) (rate(ocpp_proxy_upstream_seconds_bucket[$__rate_interval])))",
                legend="{{message_type}}",
                exemplar=True,
            ),
            width=12,
        ),
        bars(
            "Refused Handshakes Over Time",
            "By the status of the central system, or why it was not reached. Runbook: ProxyUpstreamRefuses.",
            "none",
            Query(expr=process_events(_REJECTED, "reason", selector=_BY_UPSTREAM), legend="{{reason}}"),
            defaults={"noValue": "none"},
        ),
        bars(
            "Unobserved Messages Over Time",
            "By reason. Runbook: ProxyMessagesUnobserved.",
            "none",
            Query(expr=process_events("ocpp_proxy_unobserved_total", "reason"), legend="{{reason}}"),
            defaults={"noValue": "none"},
        ),
        bars(
            "Commands That May Bypass the Proxy",
            "SetNetworkProfile and configuration keys for an address. Runbook: ProxyMayBeBypassed.",
            "none",
            Query(expr=process_events("ocpp_proxy_redirections_total", "action"), legend="{{action}}"),
            defaults={"noValue": "none"},
        ),
    ),
)

MIRRORS = Row(
    title="Mirrors",
    panels=(
        bars(
            "Messages for Mirrors",
            "By outcome. Runbook: ProxyMirrorDropping.",
            "none",
            Query(
                expr=process_events("ocpp_proxy_mirror_messages_total", "mirror", "outcome"),
                legend="{{mirror}}: {{outcome}}",
            ),
            width=12,
            defaults={"noValue": "no mirrors"},
        ),
        bars(
            "Differences",
            "Answers of a mirror that differ from the central system's. Runbook: ProxyMirrorDiffers.",
            "none",
            Query(
                expr=process_events("ocpp_proxy_mirror_differences_total", "mirror", "difference"),
                legend="{{mirror}}: {{difference}}",
            ),
            width=12,
            defaults={"noValue": "none"},
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="wattspan-proxy",
    title="Proxy",
    description="The central system behind the proxy: how fast it answers, what it refuses; and its mirrors.",
    rows=(UPSTREAM, MIRRORS),
    variables=(datasource(), *ADDRESSES),
    links=LINKS,
)
