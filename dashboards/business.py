"""The dashboard *Business*: energy, sessions, use of connectors, and what the site may still carry."""

from dashboards.model import Dashboard, Query, Row
from dashboards.panels import above, bars, gauge, lines, ranking, stat
from dashboards.parts import ADDRESSES, BY_CHARGE_POINT, CP, LINKS, cp_id, datasource

_REJECTED = 'ocpp_central_call_rejected_total{action=~"RemoteStartTransaction|RequestStartTransaction"}'
_STARTS = 'ocpp_central_call_seconds_count{action=~"RemoteStartTransaction|RequestStartTransaction"}'

FIGURES = Row(
    title="Figures of the period",
    panels=(
        stat(
            "Energy",
            "Of transactions that ended.",
            "watth",
            Query(expr=f"sum(increase(ocpp_cp_energy_total_wh{{{CP}}}[$__range]))"),
        ),
        stat(
            "Sessions",
            "Transactions started.",
            "none",
            Query(expr=f"round(sum(increase(ocpp_tx_total{{{CP}}}[$__range])))"),
        ),
        stat(
            "Energy a Session",
            "Energy of ended transactions through starts.",
            "watth",
            Query(
                expr=f"sum(increase(ocpp_cp_energy_total_wh{{{CP}}}[$__range]))"
                f" / (sum(increase(ocpp_tx_total{{{CP}}}[$__range])) > 0)"
            ),
        ),
        stat(
            "Starts by App That Succeed",
            "Share of remote starts that charge points accept; 100 % when there was none.",
            "percentunit",
            Query(
                expr=f"1 - (sum(increase({_REJECTED}[$__range])) or vector(0))"
                f" / ((sum(increase({_STARTS}[$__range])) > 0) or vector(1))"
            ),
        ),
        bars(
            "Energy an Hour",
            "Of transactions that ended in that hour.",
            "watth",
            Query(expr=f"sum(increase(ocpp_cp_energy_total_wh{{{CP}}}[1h]))", legend="energy"),
            width=12,
            interval="1h",
        ),
        bars(
            "Sessions an Hour",
            "Transactions started in that hour.",
            "none",
            Query(expr=f"round(sum(increase(ocpp_tx_total{{{CP}}}[1h])))", legend="sessions"),
            width=12,
            interval="1h",
        ),
    ),
)

USE = Row(
    title="Use of connectors",
    panels=(
        gauge(
            "In Use Now",
            "Share of connectors with an open transaction. Runbook: NearlyFullyBooked.",
            "percentunit",
            Query(expr=f"avg(ocpp_tx_active{{{CP}}})"),
            height=8,
        ),
        lines(
            "Use",
            "Share of connectors with an open transaction, over an hour.",
            "percentunit",
            Query(expr=f"avg(avg_over_time(ocpp_tx_active{{{CP}}}[1h]))", legend="in use"),
            width=18,
            defaults={"min": 0, "max": 1},
        ),
        ranking(
            "Use by Connector",
            "Share of the period with an open transaction, the twenty busiest.",
            "percentunit",
            Query(
                expr=f"topk(20, avg_over_time(ocpp_tx_active{{{CP}}}[$__range]))",
                legend="{{cp_id}} / {{connector_id}}",
                instant=True,
            ),
            width=12,
            defaults={"max": 1, "links": BY_CHARGE_POINT},
        ),
        ranking(
            "Least Used",
            "The twenty connectors that are used least: broken, blocked or badly placed, perhaps.",
            "percentunit",
            Query(
                expr=f"bottomk(20, avg_over_time(ocpp_tx_active{{{CP}}}[$__range]))",
                legend="{{cp_id}} / {{connector_id}}",
                instant=True,
            ),
            width=12,
            defaults={"max": 1, "links": BY_CHARGE_POINT},
        ),
    ),
)

CAPACITY = Row(
    title="Capacity",
    panels=(
        lines(
            "Load, Prediction and Limit",
            "Power now, in an hour if it goes on like this, this week's peak, and what the site may draw"
            " (alerts/rules/site.yml). Runbooks: SiteLoadNearLimit, SiteLoadPredictedOverLimit.",
            "watt",
            Query(expr="fleet:ocpp_cp_power_w:sum", legend="now"),
            Query(expr="fleet:ocpp_cp_power_w:predicted1h", legend="in an hour"),
            Query(expr="fleet:ocpp_cp_power_w:max7d", legend="peak of 7 days"),
            Query(expr="site:power_limit_w", legend="limit"),
            width=16,
        ),
        gauge(
            "Load to Limit",
            "Share of the site's limit that is drawn now.",
            "percentunit",
            Query(expr="fleet:ocpp_cp_power_w:sum / site:power_limit_w"),
            width=8,
            height=8,
            defaults={"thresholds": above(0.8, 0.9), "noValue": "no limit set"},
        ),
        lines(
            "Usual and Unusual",
            "Four signals of the fleet as a multiple of the same hour's mean. Runbook: FleetSignalUnusual.",
            "none",
            Query(expr="fleet:signal:now / on (signal) (fleet:signal:usual > 0)", legend="{{signal}}"),
            width=24,
            defaults={"noValue": "needs a day of history"},
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="wattspan-business",
    title="Business",
    description="Energy, sessions, use of connectors, and what the site may still carry.",
    rows=(FIGURES, USE, CAPACITY),
    variables=(datasource(), cp_id(), *ADDRESSES),
    links=LINKS,
    since="now-7d",
    refresh="5m",
)
