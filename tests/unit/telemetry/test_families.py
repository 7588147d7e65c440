from collections.abc import Iterable

from support.scraping import NOW_TS, STARTED_TS, fill, state
from wattspan.domain import events as ev
from wattspan.domain.apply import apply
from wattspan.telemetry.families import FAMILIES, State, points


def values(shown: State, name: str) -> dict[tuple[str, ...], float]:
    return {point.labels: point.value for point in points(FAMILIES[name], shown)}


def after(*events: ev.Event) -> State:
    shown = state()
    for event in events:
        apply(shown.fleet, event)
    return shown


CONNECTED = ev.ChargePointConnected(cp_id="CP1", received_ts=NOW_TS, protocol="ocpp1.6")


def status(connector_id: str, word: str, error_code: str = "NoError") -> ev.Event:
    return ev.ConnectorStatusChanged(
        cp_id="CP1", received_ts=NOW_TS, connector_id=connector_id, status=word, error_code=error_code
    )


def started(connector_id: str = "1") -> ev.Event:
    return ev.TransactionStarted(
        cp_id="CP1",
        received_ts=NOW_TS,
        connector_id=connector_id,
        transaction_id="7",
        key="k",
        id_token="TOKEN",
        meter_start_wh=1000.0,
        started_ts=NOW_TS,
    )


def measured(**figures: float) -> ev.Event:
    reading = ev.Reading(charger_ts=NOW_TS, **figures)  # type: ignore[arg-type]
    return ev.MeterValuesReceived(
        cp_id="CP1", received_ts=NOW_TS, connector_id="1", transaction_id="7", readings=(reading,)
    )


STOPPED = ev.TransactionStopped(
    cp_id="CP1", received_ts=NOW_TS + 60, transaction_id="7", meter_stop_wh=1750.0, stopped_ts=NOW_TS + 60
)


def test_a_known_charge_points_counters_exist_from_0() -> None:
    shown = after(CONNECTED)
    for name in (
        "ocpp_cp_disconnects_total",
        "ocpp_cp_boots_total",
        "ocpp_cp_reconnect_during_tx_total",
        "ocpp_tx_total",
        "ocpp_cp_energy_total_wh",
        "ocpp_energy_jump_total",
    ):
        assert values(shown, name) == {("CP1",): 0}


def test_what_is_not_known_yet_is_absent() -> None:
    shown = after(CONNECTED)
    for name in ("ocpp_cp_last_heartbeat_ts", "ocpp_cp_last_tx_ts", "ocpp_cp_status", "ocpp_cp_errors_total"):
        assert values(shown, name) == {}


def test_a_gauge_of_yes_or_no_is_a_number() -> None:
    (point,) = points(FAMILIES["ocpp_cp_connected"], after(CONNECTED))
    assert point.value == 1
    assert not isinstance(point.value, bool)


def test_any_connectors_status_is_the_charge_points_and_each_keeps_its_own() -> None:
    shown = after(status("1", "Charging"), status("2", "Faulted", "GroundFailure"))
    assert values(shown, "ocpp_cp_status") == {("CP1",): 8}
    assert values(shown, "ocpp_connector_status") == {("CP1", "1"): 2, ("CP1", "2"): 8}
    assert values(shown, "ocpp_cp_errors_total") == {("CP1", "GroundFailure"): 1}


def test_a_connector_is_in_exactly_one_state() -> None:
    assert values(after(status("1", "SuspendedEV")), "ocpp_connector_state") == {
        ("CP1", "1", "available"): 0,
        ("CP1", "1", "charging"): 1,
        ("CP1", "1", "unavailable"): 0,
    }


def test_connector_0_is_no_connector_unless_a_charger_charged_on_it() -> None:
    shown = after(status("0", "Available"))
    for name in ("ocpp_tx_active", "ocpp_tx_energy_wh", "ocpp_connector_state"):
        assert values(shown, name) == {}
    apply(shown.fleet, started("0"))
    assert values(shown, "ocpp_tx_active") == {("CP1", "0"): 1}


def test_figures_of_a_transaction_rise_and_are_0_after_its_stop() -> None:
    shown = after(status("1", "Charging"))
    names = ("ocpp_tx_active", "ocpp_tx_energy_wh", "ocpp_cp_current_a", "ocpp_cp_power_w")
    assert [values(shown, name) for name in names] == [{("CP1", "1"): 0}, {("CP1", "1"): 0}, {}, {}]
    apply(shown.fleet, started())
    apply(shown.fleet, measured(register_wh=1500.0, current_a=16.0, power_w=11040.0))
    assert [values(shown, name)["CP1", "1"] for name in names] == [1, 500, 16, 11040]
    apply(shown.fleet, STOPPED)
    assert [values(shown, name)["CP1", "1"] for name in names] == [0, 0, 0, 0]
    assert values(shown, "ocpp_cp_energy_total_wh") == {("CP1",): 750}
    assert values(shown, "ocpp_cp_last_tx_ts") == {("CP1",): NOW_TS + 60}


def test_a_limit_is_shown_only_where_there_is_one() -> None:
    shown = after(status("1", "Charging"), started())
    assert values(shown, "ocpp_cp_current_limit_a") == {}
    apply(shown.fleet, measured(offered_a=32.0))
    assert values(shown, "ocpp_cp_current_limit_a") == {("CP1", "1"): 32}


def test_commands_are_told_by_action_and_outcome() -> None:
    shown = after(
        ev.CommandFailed(cp_id="CP1", received_ts=NOW_TS, action="Reset", error_type="Timeout", duration_s=30),
        ev.CommandAnswered(
            cp_id="CP1", received_ts=NOW_TS, action="Reset", status="Rejected", accepted=False, duration_s=1
        ),
    )
    assert values(shown, "ocpp_central_call_errors_total") == {("CP1", "Reset", "Timeout"): 1}
    assert values(shown, "ocpp_central_call_rejected_total") == {("CP1", "Reset", "Rejected"): 1}


def test_what_a_charger_tells_of_itself_is_cut_to_a_sane_length() -> None:
    shown = after(CONNECTED, ev.ChargePointBooted(cp_id="CP1", received_ts=NOW_TS, vendor="v" * 1000, model="m"))
    assert values(shown, "ocpp_cp_info") == {("CP1", "v" * 50, "m", "", "ocpp1.6", ""): 1}


def test_lost_telemetry_is_0_before_any_is_lost() -> None:
    shown = state()
    shown.counters.telemetry_dropped["traces"] = 3
    assert values(shown, "ocpp_central_telemetry_dropped_total") == {("traces",): 3, ("metrics",): 0, ("logs",): 0}


def test_counting_of_a_charge_point_began_when_it_was_known_and_of_the_process_when_it_started() -> None:
    shown = after(CONNECTED)
    assert [point.since_ts for point in points(FAMILIES["ocpp_tx_total"], shown)] == [NOW_TS]
    assert [point.since_ts for point in points(FAMILIES["ocpp_store_failures_total"], shown)] == [STARTED_TS]


def test_charge_points_may_come_and_go_while_points_are_read() -> None:
    shown = state()
    fill(shown, 5)

    def read() -> Iterable[str]:
        for point in points(FAMILIES["ocpp_connector_status"], shown):
            apply(shown.fleet, ev.ChargePointDecommissioned(cp_id=point.labels[0], received_ts=NOW_TS))
            shown.fleet.charge_point(f"{point.labels[0]}-new", NOW_TS)
            yield point.labels[0]

    assert len(set(read())) == 5


def test_a_decommissioned_charge_point_leaves_every_family() -> None:
    shown = state()
    fill(shown, 2)
    apply(shown.fleet, ev.ChargePointDecommissioned(cp_id="CP-000001", received_ts=NOW_TS))
    assert not [name for name in FAMILIES for labels in values(shown, name) if "CP-000001" in labels]
    assert [first for first, _ in shown.groups(shown.histograms.handling)] == ["CP-000002"]


def test_the_offset_of_a_clock_is_there_while_it_is_wrong():
    name = "ocpp_cp_clock_offset_seconds"
    late = ev.ConnectorStatusChanged(
        cp_id="CP1", received_ts=NOW_TS, connector_id="1", status="Available", charger_ts=NOW_TS + 7200
    )
    right = ev.ConnectorStatusChanged(
        cp_id="CP1", received_ts=NOW_TS, connector_id="1", status="Available", charger_ts=NOW_TS
    )
    assert values(after(CONNECTED, late), name) == {("CP1",): 7200.0}
    assert values(after(CONNECTED, late, right), name) == {}
    assert values(after(CONNECTED, status("1", "Available")), name) == {}
