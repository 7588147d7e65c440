"""Raw lines of the page, as they should stand there: TYPE line, labels and value."""

CP = 'cp_id="CP1"'
AT = 'cp_id="CP1",connector_id="1"'


def typed(name: str, kind: str, *samples: str) -> list[str]:
    """The TYPE line and the samples: labels and value as they stand on the page."""
    return [f"# TYPE {name} {kind}", *(f"{name}{sample}" for sample in samples)]


def of(name: str, kind: str, value: object) -> list[str]:
    return typed(name, kind, f"{{{CP}}} {value}")


def at(name: str, kind: str, value: object) -> list[str]:
    return typed(name, kind, f"{{{AT}}} {value}")
