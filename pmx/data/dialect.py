"""How a text file is written: its encoding and what separates its cells, told from its content."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from pathlib import Path

from pmx.errors import DataError

#: What may separate cells, in the order in which it is tried.
DELIMITERS = (",", ";", "\t")
_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


def read_text(path: Path) -> str:
    """Return a file as text: UTF-8, or UTF-16 with a byte order mark as spreadsheets write it; gzip by its ending.

    Raises
    ------
    DataError
        If the file is missing, unreadable or in another encoding.
    """
    try:
        content = path.read_bytes()
        if path.name.lower().endswith(".gz"):
            content = gzip.decompress(content)
        encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
        return content.decode(encoding)
    except FileNotFoundError as error:
        raise DataError(f"{path}: does not exist; check the name") from error
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}); save it as UTF-8 CSV") from error


def split_cells(text: str, path: Path) -> tuple[list[list[str]], list[int], str]:
    """Return the rows that are not blank, blanks around cells removed, their line numbers, and the delimiter.

    The delimiter is the first of comma, semicolon and tab that divides the first row, and every other one into as many
    cells; where none does, the first that divides the first row. A first line ``sep=;`` names it.

    Raises
    ------
    DataError
        If a quoted cell does not end.
    """
    skipped = 0
    first, _, rest = text.partition("\n")
    given = first.strip().strip('"')
    if given.lower().startswith("sep=") and len(given) == len("sep=") + 1:
        text, skipped = rest, 1
        delimiters: tuple[str, ...] = (given[-1],)
    else:
        delimiters = tuple(mark for mark in DELIMITERS if mark in text) or DELIMITERS[:1]
    tried = []
    for delimiter in delimiters:
        rows, lines = _rows(text, delimiter, path)
        if rows and (len(rows[0]) > 1 or len(delimiters) == 1):
            tried.append((rows, [line + skipped for line in lines], delimiter))
            if all(len(row) == len(rows[0]) for row in rows):
                return tried[-1]
    if tried:
        return tried[0]
    rows, lines = _rows(text, delimiters[0], path)
    return rows, [line + skipped for line in lines], delimiters[0]


def _rows(text: str, delimiter: str, path: Path) -> tuple[list[list[str]], list[int]]:
    rows, lines = [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append(cells)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as CSV ({error}); save it as UTF-8 CSV") from error
    return rows, lines
