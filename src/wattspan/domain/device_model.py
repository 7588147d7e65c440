"""Value types of the OCPP 2.x device model: components, variables, monitors. It holds no state; the store does.

Texts are as the charger sent them, cut to the length OCPP allows; "": the charger named none.
"""

from typing import NamedTuple

MAX_VALUE = 2500
"""Characters of a value (OCPP 2.0.1 Part 2 §2.1.2: attributeValue)."""
WRITE_ONLY = "WriteOnly"

_SECRET_PARTS = ("password", "secret", "privatekey", "presharedkey", "vpnkey")


class Variable(NamedTuple):
    """The address of a value: a variable of a component, perhaps of one EVSE or connector (OCPP 2.0.1 Part 1 §4)."""

    component: str
    variable: str
    component_instance: str = ""
    variable_instance: str = ""
    evse_id: str = ""
    connector_id: str = ""

    @property
    def secret(self) -> bool:
        """Whether its value must not be stored: SecurityCtrlr.BasicAuthPassword and the like."""
        name = self.variable.casefold()
        return any(part in name for part in _SECRET_PARTS)


class Attribute(NamedTuple):
    """One of a variable's values. `value` None: not reported, or not stored. None elsewhere: not reported."""

    of: Variable
    type: str = "Actual"
    value: str | None = None
    mutability: str | None = None
    persistent: bool | None = None
    constant: bool | None = None


class Characteristics(NamedTuple):
    """The values a variable may have. None: not reported."""

    of: Variable
    data_type: str
    unit: str | None = None
    min_limit: float | None = None
    max_limit: float | None = None
    max_elements: int | None = None
    values_list: str | None = None
    supports_monitoring: bool | None = None


class Monitor(NamedTuple):
    """A monitor that a charger has set on a variable. `kind` is OCPP's eventNotificationType, "" if not reported."""

    of: Variable
    monitor_id: int
    type: str
    value: float | None = None
    severity: int | None = None
    transaction: bool | None = None
    kind: str = ""


def storable(of: Variable, value: str | None, mutability: str | None = None) -> str | None:
    """Return `value` as it may be stored; None for passwords and write-only values (OCPP 2.0.1 Part 2 A00)."""
    if value is None or mutability == WRITE_ONLY or of.secret:
        return None
    return value[:MAX_VALUE]
