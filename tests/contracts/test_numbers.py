"""No number changes its value between SQL and a worker."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.exact_json import dumps, loads
from tests.client import Client
from tests.contracts.rendered import normal, render

#: JSON text, and what it is in Python.
NUMBERS: dict[str, int | float | Decimal] = {
    "0": 0,
    "-7": -7,
    "9007199254740993": 2**53 + 1,
    "-123456789012345678901234567890": -123456789012345678901234567890,
    "1.0": 1.0,
    "2.50": 2.5,
    "0.1": 0.1,
    "-0.30000000000000004": -0.30000000000000004,
    "0.1234567890123456789": Decimal("0.1234567890123456789"),
    "3.3333333333333333": Decimal("3.3333333333333333"),
    "5e-324": 5e-324,
    "1e-400": Decimal("1e-400"),
    "-1e-16383": Decimal("-1e-16383"),
}


@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_is_read_as_an_int_a_float_or_else_a_decimal(text: str) -> None:
    found = loads(text)
    assert type(found) is type(NUMBERS[text])
    assert found == NUMBERS[text]
    assert normal(loads(dumps(found))) == normal(found)


def test_a_number_beyond_a_double_is_not_infinite() -> None:
    assert loads("1e400") == Decimal("1e400")
    assert loads("[-1.5e999, 1e308]") == [Decimal("-1.5e999"), 1e308]


def test_an_integer_of_more_digits_than_python_reads_is_a_decimal() -> None:
    text = "7" * 5000
    assert loads(text) == Decimal(text)
    assert loads(f'{{"a": [1, {text}, 0.5]}}') == {"a": [1, Decimal(text), 0.5]}
    assert dumps(loads(text)) == text


@pytest.mark.parametrize("text", ["NaN", "Infinity", "[-Infinity]", "1e9999999999999999999"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        loads(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), [Decimal("-inf")]])
def test_what_is_no_number_is_not_written(value: object) -> None:
    with pytest.raises(ValueError, match=r"JSON|number"):
        dumps(value)


def test_decimals_are_written_as_numbers_among_everything_else() -> None:
    value = {"a": [Decimal("0.10"), {"é\n": None}, True], "": (1, 2.5, "x")}
    assert dumps(value) == '{"a": [0.10, {"\\u00e9\\n": null}, true], "": [1, 2.5, "x"]}'
    assert dumps({**value, "b": Decimal("1E+400")}).endswith('"b": 1E+400}')


@pytest.mark.parametrize("value", [{1, 2}, {"a": object()}, {1: Decimal(1)}, b"bytes"])
def test_what_has_no_json_form_is_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        dumps(value)


def test_what_nests_too_deep_is_a_value_error_and_no_crash() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for call in (
        lambda: loads("[" * 100_000),
        lambda: dumps(deep),
        lambda: dumps([Decimal(1), deep]),
    ):
        with pytest.raises(ValueError, match="nested too deep"):
            call()


@pytest.mark.parametrize("text", ["", "{", '{"a":1}x', "\ufeff1", "01", "[1,]", "'a'"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|Extra|Illegal|property"):
        loads(text)


def test_bytes_are_utf_8_and_nothing_else() -> None:
    assert loads('"é漢😀"'.encode()) == "é漢😀"
    for encoding in ("latin-1", "utf-16", "utf-32"):
        with pytest.raises(ValueError, match=r"decode|Expecting"):
            loads('"é"'.encode(encoding))


@given(
    st.decimals(allow_nan=False, allow_infinity=False)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
)
def test_every_number_comes_back(value: Decimal | int | float) -> None:
    assert normal(loads(dumps(value))) == normal(value)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    numbers=st.lists(
        st.integers(-(10**400), 10**400)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.decimals(-(10**30), 10**30, places=25)
        | st.builds(
            lambda digits, exponent: Decimal(digits).scaleb(exponent),
            st.integers(-(10**20), 10**20),
            st.integers(-500, 500),
        ),
        max_size=20,
    )
)
def test_every_number_comes_through_sql_unchanged(
    client: Client, numbers: list[int | float | Decimal]
) -> None:
    rendered = render(client, [{"numbers": numbers}])
    (model,) = rendered.models
    assert normal(model.parameters) == normal({"numbers": numbers})


def test_a_double_of_sql_arrives_as_that_float(client: Client) -> None:
    values = [0.1, 1 / 3, 2 / 3, 1e-300, 5e-324, 47.376886900000002, -1.7976931348623157e-290]
    job_id = client.create_job()
    client.create_stage_tasks_from_query(
        job_id,
        1,
        "h3_hexagon",
        "select jsonb_build_object('x', x)"
        f" from unnest('{{{','.join(map(repr, values))}}}'::float8[]) as x",
    )
    found = [loads(m.body)["parameters"]["x"] for m in client.publish()]  # type: ignore[call-overload,index]
    assert found == values
    assert {type(value) for value in found} == {float}


def test_a_numeric_of_more_digits_than_a_double_arrives_whole(client: Client) -> None:
    (model,) = render(client, [{"x": Decimal("3.33333333333333333333")}]).models
    assert model.parameters == {"x": Decimal("3.33333333333333333333")}
