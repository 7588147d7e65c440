import pytest
from pydantic import BaseModel, Field, SecretStr, ValidationError

from wattspan.cli.faults import field_name, join_faults


class Model(BaseModel):
    name: str = Field("x", min_length=1, max_length=5, pattern=r"^\w+$")
    password: SecretStr = Field(SecretStr("x" * 12), min_length=12, max_length=200)
    count: int = Field(1, ge=1)
    role: str = "viewer"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"password": "short"}, "password: at least 12 characters"),
        ({"password": "x" * 201}, "password: at most 200 characters"),
        ({"name": "too long"}, "name: at most 5 characters"),
        ({"name": "a b"}, "name: contains characters that are not allowed"),
        ({"count": 0}, "count: must be greater than or equal to 1"),
    ],
)
def test_a_fault_is_worded_for_a_command_line(values: dict[str, object], line: str):
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(values)
    assert join_faults((str(each["loc"][0]), each["msg"]) for each in caught.value.errors()) == line


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("", "payload"),
        ("/type", "type"),
        ("/chargingProfile/stackLevel", "chargingProfile.stackLevel"),
        ("/a~1b/m~0n", "a/b.m~n"),
        ("query.limit", "query.limit"),
    ],
)
def test_a_json_pointer_is_shown_as_a_field(path: str, name: str):
    assert field_name(path, "payload") == name
