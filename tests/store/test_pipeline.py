"""A transaction that is sent to PostgreSQL as a whole: its values, its errors, and what is left after one."""

from collections.abc import Iterator

import psycopg
import pytest

from wattspan.store.pipeline import PipelineCursor, in_pipeline

VALUES = [("%s ümläut \\ ' \"", -(2**63), 0.1, True), ("", 2**63 - 1, float("inf"), False), (None, None, None, None)]
DIVIDE = "SELECT 1 / %s::integer"


@pytest.fixture
def connection(postgres) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.empty()) as made:
        made.execute("CREATE TEMPORARY TABLE kept (n integer)")
        made.commit()
        yield made


def kept(connection: psycopg.Connection) -> list[int]:
    found = [n for (n,) in connection.execute("SELECT n FROM kept ORDER BY n")]
    connection.commit()
    return found


def test_values_arrive_as_they_are(connection: psycopg.Connection) -> None:
    def work(cursor: PipelineCursor) -> None:
        for row in VALUES:
            cursor.execute("SELECT %s::text, %s::bigint, %s::double precision, %s::boolean, '%%'", row)
            assert cursor.fetchone() == (*row, "%")

    in_pipeline(connection, work)


def test_after_an_error_everything_is_rolled_back_and_the_connection_goes_on(connection: psycopg.Connection) -> None:
    def work(cursor: PipelineCursor) -> None:
        cursor.executemany("INSERT INTO kept VALUES (%s)", [(1,), (2,)])
        cursor.execute(DIVIDE, (divisor,))
        cursor.execute("INSERT INTO kept VALUES (%s + 10)", (3,))

    divisor = 0
    for _ in range(2):
        with pytest.raises(psycopg.errors.DivisionByZero):
            in_pipeline(connection, work)
        assert kept(connection) == []
    divisor = 1
    in_pipeline(connection, work)
    assert kept(connection) == [1, 2, 13]


def test_the_error_of_a_statement_is_raised_when_a_later_one_is_awaited(connection: psycopg.Connection) -> None:
    def work(cursor: PipelineCursor) -> None:
        cursor.execute(DIVIDE, (0,))
        cursor.execute("SELECT 1")
        cursor.fetchone()
        raise AssertionError("the error was not raised")

    with pytest.raises(psycopg.errors.DivisionByZero):
        in_pipeline(connection, work)
    assert kept(connection) == []


@pytest.mark.parametrize(("value", "error"), [("a\0b", psycopg.DataError), ("\ud800", ValueError), ([1], TypeError)])
def test_a_value_that_has_no_text_is_refused(connection: psycopg.Connection, value: object, error: type) -> None:
    def work(cursor: PipelineCursor) -> None:
        cursor.execute("INSERT INTO kept VALUES (1)")
        cursor.execute("SELECT %s::text", (value,))

    with pytest.raises(error):
        in_pipeline(connection, work)
    assert kept(connection) == []


def test_more_than_the_network_holds_is_sent_while_answers_arrive(connection: psycopg.Connection) -> None:
    text = "x" * 20_000

    def work(cursor: PipelineCursor) -> None:
        for _ in range(500):
            cursor.execute("SELECT %s::text", (text,))
        assert cursor.fetchone() == (text,)

    in_pipeline(connection, work)


def test_a_connection_that_is_lost_is_an_error(connection: psycopg.Connection, postgres) -> None:
    def work(cursor: PipelineCursor) -> None:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        cursor.execute("SELECT 1")

    with pytest.raises(psycopg.OperationalError):
        in_pipeline(connection, work)
