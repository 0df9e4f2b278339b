"""Horrible bytes: plain texts, rows of JSON, tables. Each says what must happen to it."""

import gzip
import io
from typing import Any

import zstandard

from tests.faults.horror import FAMILY, NOT_UTF8, POEM, ROWS_LEFT_OUT, Ends, counted, read, refused

# name → (bytes of a plain text, what must happen, further settings)
TEXTS: dict[str, tuple[bytes, Ends, dict[str, Any]]] = {
    "empty": (b"", counted("empty file"), {}),
    "one byte": (b"a", read("a"), {}),
    "one line feed": (b"\n", counted("blank line"), {}),
    "one carriage return": (b"\r", counted("blank line"), {}),
    "only white space": (b" \t\n\n   \n", counted("blank line", 3), {}),
    "only ideographic spaces": ("\u3000\u3000\n".encode(), counted("blank line"), {}),
    "ten thousand blank lines": (b"\n" * 10_000, counted("blank line", 10_000), {}),
    "only a byte order mark": (b"\xef\xbb\xbf", counted("empty file"), {}),
    "byte order mark and text": (b"\xef\xbb\xbf" + POEM.encode(), read(POEM), {}),
    "two byte order marks": (b"\xef\xbb\xbf" * 2 + b"a", counted("controls", stage="clean", texts=("a",)), {}),
    "endless line": (b"a" * 5000, refused(":1:", "longer than 1,000 bytes"), {"max_document_bytes": 1000}),
    "endless second line": (b"a\n" + b"b" * 5000, refused(":2:", "longer than"), {"max_document_bytes": 1000}),
    "endless paragraph": (
        b"word\n" * 1000,
        refused(":1:", "longer than"),
        {"max_document_bytes": 1000, "documents": "paragraph"},
    ),
    "endless file": (b"word\n\n" * 500, refused("longer than"), {"max_document_bytes": 1000, "documents": "file"}),
    "a line of 100,000 characters": (b"ab" * 50_000, read("ab" * 50_000), {}),
    "a Chinese line of 100,000 characters": (("春眠" * 50_000).encode(), read("春眠" * 50_000), {}),
    "UTF-16 with mark, little": ("a\nb".encode("utf-16"), refused(":1:", NOT_UTF8, "utf-16"), {}),
    "UTF-16 with mark, big": (b"\xfe\xff" + "a\nb".encode("utf-16-be"), refused(NOT_UTF8, "utf-16"), {}),
    "UTF-16 without mark, little": ("plain words".encode("utf-16-le"), refused("NUL", "utf-16-le"), {}),
    "UTF-16 without mark, big": ("plain words".encode("utf-16-be"), refused("NUL", "utf-16-be"), {}),
    "Chinese UTF-16 without mark, little": (POEM.encode("utf-16-le"), refused(NOT_UTF8, "utf-16-le"), {}),
    "Chinese UTF-16 without mark, big": (POEM.encode("utf-16-be"), refused(NOT_UTF8, "utf-16-be"), {}),
    "UTF-32 with mark": ("words".encode("utf-32"), refused("utf-32"), {}),
    "GB18030": (b"first\n" + POEM.encode("gb18030"), refused(":2:", "byte 6", NOT_UTF8, "gb18030"), {}),
    "GB18030 after Chinese": (f"{POEM}\n".encode() + POEM.encode("gb18030"), refused(":2:", "gb18030"), {}),
    "Big5": ("床前明月光".encode("big5"), refused(":1:", NOT_UTF8), {}),
    "Shift JIS": ("これは日本語です".encode("shift-jis"), refused(":1:", NOT_UTF8), {}),
    "EUC-KR": ("안녕하세요".encode("euc-kr"), refused(":1:", NOT_UTF8), {}),
    "KOI8-R": ("Привет".encode("koi8-r"), refused(":1:", NOT_UTF8), {}),
    "Latin-1": ("café noir, garçon".encode("latin-1"), refused(":1:", "byte 3", "latin-1"), {}),
    "Windows quotes": ("“quoted” words".encode("cp1252"), refused(":1:", NOT_UTF8), {}),
    "NUL inside": (b"good\nwor\0ds", refused(":2:", "NUL at byte 8"), {}),
    "only NULs": (b"\0" * 1000, refused(":1:", "NUL"), {}),
    "cut UTF-8": (POEM.encode()[:-1], refused(":1:", NOT_UTF8), {}),
    "overlong UTF-8": (b"a\xc0\x80b", refused("0xC0", NOT_UTF8), {}),
    "surrogate in UTF-8": (b"a\xed\xa0\x80b", refused("0xED", NOT_UTF8), {}),
    "five-byte UTF-8": (b"a\xf8\x88\x80\x80\x80b", refused("0xF8", NOT_UTF8), {}),
    "beyond Unicode": (b"a\xf4\x90\x80\x80b", refused("0xF4", NOT_UTF8), {}),
    "all bytes": (bytes(range(1, 256)), refused(NOT_UTF8), {}),
    "CR LF": (b"a\r\nb\r\n", counted("file with carriage returns, made LF", texts=("a", "b")), {}),
    "CR": (b"a\rb\r", counted("file with carriage returns, made LF", texts=("a", "b")), {}),
    "mixed line ends": (b"a\rb\nc\r\nd", read("a", "b", "c", "d"), {}),
    "backwards line ends": (b"a\n\rb", counted("blank line", texts=("a", "b")), {}),
    "only control characters": (b"\x01\x02\x1b\x7f", counted("empty", stage="filter"), {}),
    "terminal escapes": (b"\x1b[31mred\x1b[0m", counted("controls", stage="clean", texts=("[31mred[0m",)), {}),
    "only zero-width characters": ("\u200b\u200d\ufeff".encode(), counted("empty", stage="filter"), {}),
    "right-to-left marks": ("a\u202eb\u200f".encode(), counted("controls", stage="clean", texts=("ab",)), {}),
    "line separators": ("a\u2028b\u2029c".encode(), counted("controls", stage="clean", texts=("a\nb\nc",)), {}),
    "form feeds": (b"a\x0cb", counted("controls", stage="clean", texts=("a\nb",)), {}),
    "joined emoji": (FAMILY.encode(), read(FAMILY), {}),
    "zalgo": (("a" + "\u0301\u0327" * 500).encode(), counted("documents"), {}),
    "full-width forms": ("ＡＢＣ，（１２３）\u3000！".encode(), read("ＡＢＣ，（１２３）\u3000！"), {}),
    "noncharacters": ("a\ufffe\uffffb".encode(), counted("documents"), {}),
    "replacement characters": (b"\xef\xbf\xbd" * 10, counted("documents"), {}),
    "private use": ("\ue000\U0010fffd".encode(), counted("documents"), {}),
    "a thousand copies": (b"the same line again\n" * 1000, counted("exact", 999, stage="duplicates"), {}),
    "copies but for spaces": (b"a b c\na  b c \n", counted("exact", 1, stage="duplicates"), {}),
    "a gzip file inside": (gzip.compress(b"words" * 99), refused("gzip"), {}),
    "a zstandard file inside": (zstandard.compress(b"words" * 99), refused("zstandard"), {}),
    "a PDF inside": (b"%PDF-1.7 \xe2\xe3\xcf\xd3\n", refused("PDF"), {}),
    "a zip inside": (b"PK\x03\x04\x14\0\0\0", refused("zip"), {}),
    "UTF-16 named, without mark": (b"a\0b\0", refused("byte order mark", "utf-16-le"), {"encoding": "utf-16"}),
    "UTF-16 named, odd bytes": (b"\xff\xfea\0b", refused("isn't utf-16"), {"encoding": "utf-16"}),
    "UTF-16 named, lone surrogate": (b"a\0\n\0\0\xd8b\0", refused(":2:", "byte 4"), {"encoding": "utf-16-le"}),
    "UTF-16 named": (f"{POEM}\nb".encode("utf-16"), read(POEM, "b"), {"encoding": "utf-16"}),
    "UTF-16 named, empty": (b"", counted("empty file"), {"encoding": "utf-16"}),
    "GB18030 named": (f"{POEM}\n好".encode("gb18030"), read(POEM, "好"), {"encoding": "gb18030"}),
    "GB18030 named, cut": (POEM.encode("gb18030")[:-1], refused("isn't gb18030"), {"encoding": "gb18030"}),
    "ASCII named, but Chinese": (b"a\n" + POEM.encode(), refused(":2:", "byte 2", "ascii"), {"encoding": "ascii"}),
}

# name → (one line of JSON, what its error must say); each is the second of three rows.
ROWS: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "missing field": (b'{"txt": "a"}', ("no field 'text'", "'txt'", "text_field")),
    "empty object": (b"{}", ("no field 'text'",)),
    "number instead of text": (b'{"text": 7}', ("a number, not text",)),
    "fraction instead of text": (b'{"text": 7.5}', ("a number, not text",)),
    "truth instead of text": (b'{"text": true}', ("a truth value, not text",)),
    "null instead of text": (b'{"text": null}', ("null, not text",)),
    "object instead of text": (b'{"text": {"a": 1}}', ("a dict, not text",)),
    "list of numbers instead of text": (b'{"text": [1, 2]}', ("a list, not text",)),
    "a list": (b'["a"]', ("a list, not an object",)),
    "a string": (b'"a"', ("a string, not an object",)),
    "a number": (b"7", ("a number, not an object",)),
    "null": (b"null", ("null, not an object",)),
    "not a number": (b"NaN", ("a number, not an object",)),
    "not JSON": (b"words", ("isn't JSON",)),
    "half a row": (b'{"text": "a', ("isn't JSON",)),
    "single quotes": (b"{'text': 'a'}", ("isn't JSON",)),
    "comma after the last key": (b'{"text": "a",}', ("isn't JSON",)),
    "comma after the row": (b'{"text": "a"},', ("isn't JSON", "One object on each line")),
    "two rows on a line": (b'{"text": "a"} {"text": "b"}', ("isn't JSON",)),
    "duplicate keys": (b'{"text": "a", "text": "b"}', ("'text' stands twice",)),
    "duplicate keys inside": (b'{"text": "a", "x": {"k": 1, "k": 2}}', ("'k' stands twice",)),
    "nested to the sky": (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", ("nested too deeply",)),
    "integer of a million digits": (b'{"text": ' + b"9" * 1_000_000 + b"}", ("isn't JSON",)),
    "lone high surrogate": (b'{"text": "a\\ud800b"}', ("lone surrogate", "d800")),
    "lone low surrogate": (b'{"text": "a\\udc00"}', ("lone surrogate", "dc00")),
    "surrogates the wrong way round": (b'{"text": "\\udc00\\ud800"}', ("lone surrogate",)),
    "NUL escape": (b'{"text": "a\\u0000b"}', ("NUL",)),
    "raw NUL": (b'{"text": "a\0b"}', ("NUL",)),
    "raw tab": (b'{"text": "a\tb"}', ("isn't JSON",)),
    "not UTF-8": (b'{"text": "a\xffb"}', (NOT_UTF8,)),
    "GB18030": (f'{{"text": "{POEM}"}}'.encode("gb18030"), (NOT_UTF8, "gb18030")),
    "comment": (b'// {"text": "a"}', ("isn't JSON",)),
    "wrong escape": (b'{"text": "\\x41"}', ("isn't JSON",)),
}

# These are JSON, so they can also stand in a list.
IN_LISTS = (
    "missing field",
    "empty object",
    "number instead of text",
    "null instead of text",
    "object instead of text",
    "list of numbers instead of text",
    "a list",
    "a string",
    "null",
    "duplicate keys",
    "lone high surrogate",
    "NUL escape",
)

# name → (bytes of a .json file, what must happen)
LISTS: dict[str, tuple[bytes, Ends]] = {
    "empty list": (b"[]", counted("empty file")),
    "list": (b'[{"text": "a"},\n {"text": ["b", "c"]}]', read("a", "b\nc")),
    "list with a comma at its end": (b'[{"text": "a"},]', refused(":1:", "a comma before the end")),
    "list never closed": (b'[{"text": "a"}', refused("isn't closed")),
    "list without commas": (b'[{"text": "a"}\n{"text": "b"}]', refused("lacks a comma")),
    "list followed by another": (b'[{"text": "a"}][{"text": "b"}]', refused("follows the end")),
    "list of lists": (b'[[{"text": "a"}]]', refused("a list, not an object")),
    "list opened only": (b"[", refused("isn't JSON")),
    "list of nothing but commas": (b"[,,,]", refused("isn't JSON")),
    "object over several lines": (b'{\n"text": "a"\n}', refused(":1:", "isn't JSON", "One object on each line")),
    "JSON lines under .json": (b'{"text": "a"}\n{"text": "b"}\n', read("a", "b")),
    "empty": (b"", counted("empty file")),
    "only white space": (b" \n\n ", counted("empty file")),
}

# name → (bytes of a .csv file, what must happen, further settings)
TABLES: dict[str, tuple[bytes, Ends, dict[str, Any]]] = {
    "empty": (b"", counted("empty file"), {}),
    "only a header": (b"id,text\n", counted("empty file"), {}),
    "header without the column": (b"id,body\n1,a\n", refused(":1:", "no column 'text'", "'body'"), {}),
    "no header": (b"1,some words\n2,more words\n", refused("no column 'text'", "must name the columns"), {}),
    "two columns of one name": (b"text,text\na,b\n", refused("two columns have the same name"), {}),
    "short row": (b"id,text\n1,a\n2\n", refused(":3:", "1 cells under 2 columns"), {}),
    "long row": (b"id,text\n1,a,b\n", refused(":2:", "3 cells under 2 columns"), {}),
    "long row left out": (b"id,text\n1,a,b\n2,c\n", counted(ROWS_LEFT_OUT, texts=("c",)), {"skip_bad_rows": 1}),
    "quote never closed": (b'id,text\n1,"a\n2,b\n', refused(":2:", "never closed"), {}),
    "quote never closed in a large table": (
        b'id,text\n1,"' + b"a\n" * 2000,
        refused(":2:", "never closed"),
        {"max_document_bytes": 1000},
    ),
    "words after a quote": (b'id,text\n1,"a"b\n', refused(":2:", "isn't CSV"), {}),
    "NUL in a cell": (b"id,text\n1,a\0b\n", refused(":2:", "NUL"), {}),
    "line break in a cell": (b'id,text\n1,"a\nb"\n2,c\n', read("a\nb", "c"), {}),
    "CR LF in a cell": (b'id,text\r\n1,"a\r\nb"\r\n', read("a\nb"), {}),
    "row after a cell of three lines": (b'id,text\n1,"a\n\nb"\n2\n', refused(":5:", "1 cells"), {}),
    "blank rows": (b"id,text\n\n1,a\n\n", counted("blank line", 2, texts=("a",)), {}),
    "empty cells": (b"id,text\n1,\n2,\n", counted("empty", 2, stage="filter"), {}),
    "byte order mark before the header": (b"\xef\xbb\xbftext\na\n", read("a"), {}),
    "semicolons": (b"id;text\n1;a\n", refused("no column 'text'", "'id;text'"), {}),
    "not UTF-8": (b"id,text\n1,a\xff\n", refused(":2:", NOT_UTF8), {}),
    "GB18030": (b"id,text\n1," + POEM.encode("gb18030"), refused(":2:", "gb18030"), {}),
    "GB18030 named": (f"id,text\n1,{POEM}\n".encode("gb18030"), read(POEM), {"encoding": "gb18030"}),
    "several columns": (b"text,id,title\na,1,b\n", read("b\na"), {"text_field": ["title", "text"]}),
}


def parquet_bytes(columns: dict[str, Any]) -> bytes:
    """A parquet file of these columns."""
    import pyarrow
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def not_utf8_parquet() -> bytes:
    """A parquet file whose text column holds bytes that aren't UTF-8."""
    import pyarrow

    raw = pyarrow.array([b"good", b"\xff\xfe", b"fine"], type=pyarrow.binary())
    return parquet_bytes({"text": pyarrow.Array.from_buffers(pyarrow.string(), 3, raw.buffers())})


# name → (bytes of a .parquet file, what must happen, further settings)
PARQUETS: dict[str, tuple[bytes, Ends, dict[str, Any]]] = {
    "garbage": (b"PAR1 garbage PAR1", refused("isn't parquet"), {}),
    "empty file": (b"", refused("isn't parquet"), {}),
    "only text": (b"just words, no columns", refused("isn't parquet"), {}),
    "cut": (parquet_bytes({"text": ["a"] * 1000})[:-40], refused("isn't parquet"), {}),
    "damaged inside": (
        (lambda whole: whole[:8] + b"\xff" * 40 + whole[48:])(parquet_bytes({"text": ["abc" * i for i in range(99)]})),
        refused("isn't parquet, or is damaged"),
        {},
    ),
    "no rows": (parquet_bytes({"text": []}), counted("empty file"), {}),
    "missing column": (parquet_bytes({"body": ["a"]}), refused("no column 'text'", "'body'"), {}),
    "numbers": (parquet_bytes({"text": [1, 2]}), refused(":1:", "a number, not text"), {}),
    "null in row 2": (parquet_bytes({"text": ["a", None]}), refused(":2:", "null, not text"), {}),
    "null left out": (
        parquet_bytes({"text": ["a", None]}),
        counted(ROWS_LEFT_OUT, texts=("a",)),
        {"skip_bad_rows": 1},
    ),
    "not UTF-8": (not_utf8_parquet(), refused(":2:", NOT_UTF8), {}),
    "lists of text": (parquet_bytes({"text": [["a", "b"]]}), read("a\nb"), {}),
}
