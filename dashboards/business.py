"""The dashboard *Business*: energy, sessions, use of connectors, and what the site may still carry."""

from dashboards.events import by_connector, events, in_range, process_in_range
from dashboards.model import Dashboard, Query, Row
from dashboards.panels import above, bars, below, gauge, lines, ranking, stat
from dashboards.parts import ADDRESSES, BY_CHARGE_POINT, CP, LINKS, cp_id, datasource

_START = 'action=~"RemoteStartTransaction|RequestStartTransaction"'
_REFUSED = in_range("ocpp_central_call_rejected_total", "action", "status", selector=_START)
_FAILED = in_range("ocpp_central_call_errors_total", "action", "error_type", selector=_START)
_STARTS = process_in_range("ocpp_central_call_seconds_count", selector=_START)
_UNSUCCESSFUL = f"(({_REFUSED}) or vector(0)) + (({_FAILED}) or vector(0))"
_AVAILABLE = "cp_id_connector_id:ocpp_available:bool"
_PLANNED = "cp_id_connector_id:ocpp_planned_outage:bool"

FIGURES = Row(
    title="Figures of the period",
    panels=(
        stat(
            "Energy",
            "Of transactions that ended.",
            "watth",
            Query(expr=in_range("ocpp_cp_energy_total_wh")),
        ),
        stat(
            "Sessions",
            "Transactions started.",
            "none",
            Query(expr=in_range("ocpp_tx_total")),
        ),
        stat(
            "Energy a Session",
            "Energy of ended transactions through starts.",
            "watth",
            Query(expr=f"{in_range('ocpp_cp_energy_total_wh')} / ({in_range('ocpp_tx_total')} > 0)"),
        ),
        stat(
            "Starts by App That Succeed",
            "Share of remote starts that charge points accept: one that is refused, is answered by an error or stays"
            " without an answer has failed. 100 % when there was none.",
            "percentunit",
            Query(expr=f"clamp_min(1 - ({_UNSUCCESSFUL}) / ((({_STARTS}) > 0) or vector(1)), 0)"),
            defaults={"thresholds": below(0.98, 0.9)},
        ),
        bars(
            "Energy an Hour",
            "Of transactions that ended in it. A bar is an hour, or longer where hours are too many.",
            "watth",
            Query(expr=events("ocpp_cp_energy_total_wh", by=()), legend="energy"),
            width=12,
            interval="1h",
        ),
        bars(
            "Sessions an Hour",
            "Transactions started in it. A bar is an hour, or longer where hours are too many.",
            "none",
            Query(expr=events("ocpp_tx_total", by=()), legend="sessions"),
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
            Query(expr=f"avg({by_connector('ocpp_tx_active')})"),
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
                expr=f"topk(20, max by (cp_id, connector_id) (avg_over_time(ocpp_tx_active{{{CP}}}[$__range])))",
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
                expr=f"bottomk(20, max by (cp_id, connector_id) (avg_over_time(ocpp_tx_active{{{CP}}}[$__range])))",
                legend="{{cp_id}} / {{connector_id}}",
                instant=True,
            ),
            width=12,
            defaults={"max": 1, "links": BY_CHARGE_POINT},
        ),
    ),
)

AVAILABILITY = Row(
    title="Availability",
    panels=(
        stat(
            "Availability",
            "Mean share of the period's minutes in which connectors could charge: their charge point connected and"
            " they not Faulted. Unavailable is a planned outage and does not count against it; the goal is 97 %.",
            "percentunit",
            Query(expr=f"avg(max by (cp_id, connector_id) (avg_over_time({_AVAILABLE}{{{CP}}}[$__range])))"),
            height=8,
            defaults={"thresholds": below(0.99, 0.97)},
        ),
        lines(
            "Availability Over Time",
            "The same, hour by hour, and the share of planned outages.",
            "percentunit",
            Query(expr=f"avg(avg_over_time({_AVAILABLE}{{{CP}}}[1h]))", legend="available"),
            Query(expr=f"avg(avg_over_time({_PLANNED}{{{CP}}}[1h]))", legend="planned outage"),
            width=18,
            defaults={"min": 0, "max": 1},
        ),
        ranking(
            "Least Available",
            "The twenty connectors that were available least. Runbook: ChargePointAvailabilityLow.",
            "percentunit",
            Query(
                expr=f"bottomk(20, max by (cp_id, connector_id) (avg_over_time({_AVAILABLE}{{{CP}}}[$__range])))",
                legend="{{cp_id}} / {{connector_id}}",
                instant=True,
            ),
            width=12,
            defaults={"max": 1, "thresholds": below(0.99, 0.97), "links": BY_CHARGE_POINT},
        ),
        ranking(
            "Availability by Site",
            "Mean of the connectors of each site; charge points without a site together.",
            "percentunit",
            Query(
                expr=f"avg by (site) (max by (cp_id, connector_id) (avg_over_time({_AVAILABLE}{{{CP}}}[$__range]))"
                " * on (cp_id) group_left (site) max by (cp_id, site) (ocpp_cp_info))",
                legend="{{site}}",
                instant=True,
            ),
            width=12,
            defaults={"max": 1, "thresholds": below(0.99, 0.97), "noValue": "no data"},
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
    rows=(FIGURES, USE, AVAILABILITY, CAPACITY),
    variables=(datasource(), cp_id(), *ADDRESSES),
    links=LINKS,
    since="now-7d",
    refresh="5m",
)
