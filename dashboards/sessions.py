"""The dashboard *Sessions*: transactions, how long, how much, how they begin."""

from dashboards.events import by_connector, events, in_range, most, rank_by_events, rank_by_highest
from dashboards.model import Dashboard, Query, Row
from dashboards.panels import above, bars, heatmap, lines, ranking, stat, steps
from dashboards.parts import ADDRESSES, BY_CHARGE_POINT, CP, LINKS, cp_id, datasource, link

_DURATION = "ocpp_tx_duration_seconds"
_NOT_ACCEPTED = in_range("ocpp_cp_authorizations_total", "status", selector=f'{CP}, status!="Accepted"')
_ALL = in_range("ocpp_cp_authorizations_total", "status")

NOW = Row(
    title="Now",
    panels=(
        stat("Open", "Transactions open now.", "none", Query(expr=f"sum({by_connector('ocpp_tx_active')})")),
        stat("Power", "Drawn by all of them.", "watt", Query(expr=f"sum({by_connector('ocpp_cp_power_w')})")),
        stat("Energy So Far", "Of the open ones.", "watth", Query(expr=f"sum({by_connector('ocpp_tx_energy_wh')})")),
        stat(
            "Started in the Period",
            "Transactions started in the period shown.",
            "none",
            Query(expr=in_range("ocpp_tx_total")),
        ),
        lines(
            "Open Sessions",
            "By charge point, the twenty with most.",
            "none",
            Query(
                expr=most(f"sum by (cp_id) ({by_connector('ocpp_tx_active')}) > 0", rank_by_highest("ocpp_tx_active")),
                legend="{{cp_id}}",
            ),
            stacked=True,
            width=12,
            defaults={"links": BY_CHARGE_POINT},
        ),
        steps(
            "Energy of Open Sessions",
            "Since the start of each; of the twenty charge points with most.",
            "watth",
            Query(
                expr=most(f"{by_connector('ocpp_tx_energy_wh')} > 0", rank_by_highest("ocpp_tx_energy_wh")),
                legend="{{cp_id}} / {{connector_id}}",
            ),
            width=12,
            defaults={"links": BY_CHARGE_POINT},
        ),
    ),
)

ENDED = Row(
    title="Ended",
    panels=(
        heatmap(
            "How Long They Last",
            "Durations of transactions that ended.",
            "s",
            Query(expr=f"sum by (le) (increase({_DURATION}_bucket[$__rate_interval]))", legend="{{le}}", exemplar=True),
        ),
        lines(
            "Duration",
            "Median, p95 and mean of the transactions that ended within an hour.",
            "s",
            Query(
                expr=f"histogram_quantile(0.5, sum by (le) (rate({_DURATION}_bucket[1h])))",
                legend="median",
                exemplar=True,
            ),
            Query(
                expr=f"histogram_quantile(0.95, sum by (le) (rate({_DURATION}_bucket[1h])))",
                legend="p95",
                exemplar=True,
            ),
            Query(
                expr=f"sum(rate({_DURATION}_sum[1h])) / (sum(rate({_DURATION}_count[1h])) > 0)",
                legend="mean",
            ),
            width=12,
        ),
        lines(
            "Energy a Session",
            "Energy of ended transactions through starts, over six hours.",
            "watth",
            Query(
                expr=f"sum(increase(ocpp_cp_energy_total_wh{{{CP}}}[6h]))"
                f" / (sum(increase(ocpp_tx_total{{{CP}}}[6h])) > 0)",
                legend="mean",
            ),
        ),
        ranking(
            "Sessions by Charge Point",
            "Started in the period shown, the twenty busiest.",
            "none",
            Query(
                expr=f"topk(20, {in_range('ocpp_tx_total', by=('cp_id',))})",
                legend="{{cp_id}}",
                instant=True,
            ),
            defaults={"links": BY_CHARGE_POINT},
        ),
        ranking(
            "Energy by Charge Point",
            "Of transactions that ended in the period shown, the twenty largest.",
            "watth",
            Query(
                expr=f"topk(20, {in_range('ocpp_cp_energy_total_wh', by=('cp_id',))})",
                legend="{{cp_id}}",
                instant=True,
            ),
            defaults={"links": BY_CHARGE_POINT},
        ),
    ),
)

BEGINNINGS = Row(
    title="How they begin, and what disturbs them",
    panels=(
        bars(
            "Authorisations",
            "Id tokens judged, by the answer given. Runbook: AuthorizationFailureBurst.",
            "none",
            Query(expr=events("ocpp_cp_authorizations_total", "status", by=("status",)), legend="{{status}}"),
        ),
        stat(
            "Cards Refused",
            "Share of id tokens not accepted in the period shown; 0 when none was judged.",
            "percentunit",
            Query(expr=f"({_NOT_ACCEPTED} or vector(0)) / (({_ALL} > 0) or vector(1))"),
            width=8,
            height=8,
            defaults={"thresholds": above(0.1, 0.3)},
        ),
        bars(
            "Returns in Mid-session",
            "Reboots and reconnects with an open transaction. Runbook: ChargePointRebootDuringTransaction.",
            "none",
            Query(
                expr=most(
                    events("ocpp_cp_reconnect_during_tx_total"), rank_by_events("ocpp_cp_reconnect_during_tx_total")
                ),
                legend="{{cp_id}}",
            ),
            defaults={"noValue": "none", "links": BY_CHARGE_POINT},
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="wattspan-sessions",
    title="Sessions",
    description="Transactions: how many, how long, how much, and what disturbs them.",
    rows=(NOW, ENDED, BEGINNINGS),
    variables=(datasource(), cp_id(), *ADDRESSES),
    links=(
        *LINKS,
        link("Session traces", "$jaeger/search?service=wattspan&operation=charging%20session", "One trace a session"),
        link("Sessions in the console", "$console/#/sessions", "Each session with its readings"),
    ),
    since="now-24h",
)
