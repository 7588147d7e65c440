"""The dashboard *Authentication*: who logs in, who fails to, and what log-ins need."""

from dashboards.events import process_events
from dashboards.log_query import LogFilter
from dashboards.model import Dashboard, Query, Row
from dashboards.panels import above, bars, lines, logs, stat, words
from dashboards.parts import ADDRESSES, LINKS, datasource

_GOOD = "sum(increase(successful_logins_total[$__range]))"
_BAD = "sum(increase(failed_logins_total[$__range]))"


def _percentiles(metric: str) -> tuple[Query, ...]:
    return tuple(
        Query(
            expr=f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket[$__rate_interval])))",
            legend=name,
            exemplar=True,
        )
        for share, name in ((0.5, "p50"), (0.95, "p95"))
    )


LOGINS = Row(
    title="Log-ins and registrations",
    panels=(
        stat("Log-ins", "In the period shown.", "none", Query(expr=f"round({_GOOD})"), width=5),
        stat(
            "Failed Log-ins",
            "In the period shown; those during a lockout included. Runbook: FailedLoginBurst.",
            "none",
            Query(expr=f"round({_BAD})"),
            width=5,
            defaults={"thresholds": above(5, 20)},
        ),
        stat(
            "Success Rate",
            "Share of log-ins that succeeded in the period shown; 100 % when nobody tried.",
            "percentunit",
            Query(expr=f"1 - {_BAD} / ((({_GOOD} + {_BAD}) > 0) or vector(1))"),
            width=5,
        ),
        stat(
            "Lockouts",
            "Of names and of sources, in the period shown. Runbook: AccountLockedOut.",
            "none",
            Query(expr="round(sum(increase(account_lockouts_total[$__range])))"),
            width=4,
            defaults={"thresholds": above(1, 5)},
        ),
        stat(
            "Active Sessions",
            "Log-ins that have not ended.",
            "none",
            Query(expr="max(user_sessions_active)"),
            width=5,
        ),
        bars(
            "Log-ins Over Time",
            "Succeeded and failed.",
            "none",
            Query(expr=process_events("successful_logins_total"), legend="succeeded"),
            Query(expr=process_events("failed_logins_total"), legend="failed"),
            width=12,
        ),
        bars(
            "Registrations Over Time",
            "Succeeded, and those under a name that was taken. Runbook: RegistrationConflictBurst.",
            "none",
            Query(expr=process_events("successful_registrations_total"), legend="succeeded"),
            Query(expr=process_events("registration_conflicts_total"), legend="name taken"),
            width=12,
        ),
        lines(
            "Log-in Latency",
            "argon2id takes its time on purpose. Runbook: LoginSlow.",
            "s",
            *_percentiles("user_login_duration_seconds"),
            width=12,
        ),
        lines(
            "Registration Latency",
            "Of those who register themselves, where that is allowed.",
            "s",
            *_percentiles("user_registration_duration_seconds"),
            width=12,
            defaults={"noValue": "nobody registered"},
        ),
    ),
)

NEEDS = Row(
    title="What it needs",
    panels=(
        stat(
            "PostgreSQL",
            "As its exporter sees it. Runbook: DatabaseUnreachable.",
            "none",
            Query(expr="min(pg_up)"),
            defaults={"mappings": words(_0=("down", "red"), _1=("up", "green")), "noValue": "not in use"},
        ),
        stat(
            "Redis",
            "As its exporter sees it. Runbook: CacheUnreachable.",
            "none",
            Query(expr="min(redis_up)"),
            defaults={"mappings": words(_0=("down", "red"), _1=("up", "green")), "noValue": "not in use"},
        ),
        lines(
            "Database Health",
            "How long the database takes to accept a write. Runbook: DatabaseSlow.",
            "s",
            *_percentiles("database_health_check_duration_seconds"),
            width=12,
        ),
        lines(
            "Redis Health",
            "How long Redis takes to answer; nothing where Redis is not in use.",
            "s",
            *_percentiles("redis_health_check_duration_seconds"),
            width=12,
            defaults={"noValue": "not in use"},
        ),
        logs(
            "Log of Access",
            "Refusals, lockouts, log-ins; names of people are not in it.",
            LogFilter(service="wattspan", message="(?i)log-?in|lock(ed|out)|token|refused"),
        ),
    ),
)

DASHBOARD = Dashboard(
    uid="wattspan-authentication",
    title="Authentication",
    description="Log-ins and registrations: how many, how many fail, how long they take, and what they need.",
    rows=(LOGINS, NEEDS),
    variables=(datasource(), *ADDRESSES),
    links=LINKS,
)
