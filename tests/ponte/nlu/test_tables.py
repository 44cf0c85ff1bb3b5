"""Reading a table of messages: what is accepted, and what each mistake is told as."""

from __future__ import annotations

import contextlib
from pathlib import Path, PosixPath

import hypothesis
import pytest
from hypothesis import strategies as st

from ponte.nlu.tables import TableError, numbers, read_table

HEADER = "text,intent\n"


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_table_is_read_with_spreadsheet_row_numbers(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, HEADER + 'oi,greet\n\n"cadê, ""ele""?", order_status \n'))
    assert [(row.number, row.text, row.intent) for row in table.rows] == [
        (2, "oi", "greet"),
        (4, 'cadê, "ele"?', "order_status"),
    ]
    assert table.intents == {"greet", "order_status"}


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, b"\xef\xbb\xbftext,intent\r\nol\xc3\xa1,greet\r\n"))
    assert table.rows[0].text == "olá"


def test_a_quoted_text_keeps_its_line_breaks(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, HEADER + '"oi\nbom dia",greet\ntchau,goodbye\n'))
    assert [(row.number, row.text) for row in table.rows] == [(2, "oi\nbom dia"), (3, "tchau")]


def test_columns_may_stand_in_any_order_beside_others(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, "id,Intent, text\n7,greet,oi\n"))
    assert (table.rows[0].text, table.rows[0].intent) == ("oi", "greet")


def test_a_row_without_text_is_kept_and_named(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, HEADER + "oi,greet\n  ,greet\n"))
    assert table.without_text == (3,)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        ("text,intent\n", "expected at least one row below the header"),
        ("text,label\noi,greet\n", "row 1: expected the header text,intent, found 'text,label'"),
        ("oi,greet\ntchau,goodbye\n", "row 1: expected the header text,intent, found 'oi,greet'"),
        ("text,text,intent\na,b,c\n", "row 1: expected the header"),
        ("text;intent\noi;greet\n", "the separator must be a comma"),
        (HEADER + "oi,greet\ntchau,\n", "row 3: column intent is empty"),
        (HEADER + "oi,greet\ntchau,  \n", "row 3: column intent is empty"),
        (HEADER + "oi, tudo bem,greet\n", "row 2: expected 2 columns as in the header, found 3"),
        (HEADER + "oi\n", "row 2: expected 2 columns as in the header, found 1"),
        (HEADER + 'oi,greet\n"tchau,goodbye\noi,greet\n', "row 3"),
        (HEADER.encode() + b"oi,greet\nol\xe1,greet\n", "line 3 is not UTF-8 (byte 0xe1)"),
        ("text,intent\n".encode("utf-16"), "is not UTF-8"),
    ],
)
def test_what_is_wrong_is_said_with_file_row_and_what_was_expected(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(TableError) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "expected" in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no such file; expected a CSV file"):
        read_table(tmp_path / "gone.csv")
    with pytest.raises(TableError, match="cannot be read"):
        read_table(tmp_path)


class Given(PosixPath):
    """A path whose file holds the bytes of the test."""

    content = b""

    def read_bytes(self) -> bytes:
        return self.content


@hypothesis.given(st.binary(max_size=200) | st.text(alphabet='ti"\n,\r ', max_size=80))
def test_any_content_is_a_table_or_a_table_error(content: bytes | str) -> None:
    path = Given("given.csv")
    path.content = b"text,intent\n" + (content.encode() if isinstance(content, str) else content)
    with contextlib.suppress(TableError):
        assert read_table(path).rows


@pytest.mark.parametrize(
    ("rows", "shown"),
    [([3], "row 3"), ([3, 9], "rows 3, 9"), ([1, 2, 3, 4, 5, 6], "rows 1, 2, 3, 4, 5 and 1 more")],
)
def test_many_rows_are_named_in_few_words(rows: list[int], shown: str) -> None:
    assert numbers(rows) == shown
