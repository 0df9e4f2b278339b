import gzip
import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lexloom.base.errors import DataError, RecipeError, UserError
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import check
from lexloom.text.readers import DataSettings, Document, read_documents


def read(*sources: object, **settings: object) -> tuple[list[Document], Ledger]:
    ledger = Ledger()
    chosen = DataSettings.model_validate(settings)
    return list(read_documents([str(source) for source in sources], ledger=ledger, settings=chosen)), ledger


def test_documents_are_lines_paragraphs_or_files_as_chosen(tmp_path: Path) -> None:
    file = tmp_path / "poems.txt"
    file.write_text("白日依山尽\n黄河入海流\n\n\nTo be\r\nor not\n", encoding="utf-8")
    lines, _ = read(file)
    assert lines[2] == Document("To be", f"{file}:5")
    paragraphs, _ = read(file, documents="paragraph")
    assert paragraphs == [Document("白日依山尽\n黄河入海流", f"{file}:1"), Document("To be\nor not", f"{file}:5")]
    whole, _ = read(file, documents="file")
    assert whole == [Document("白日依山尽\n黄河入海流\n\n\nTo be\nor not", f"{file}:1")]


def test_line_that_spans_many_chunks_is_read_whole(tmp_path: Path) -> None:
    long = "春" * 2_000_000
    (tmp_path / "a.txt").write_text(f"first\n{long}\nlast", encoding="utf-8")
    documents, _ = read(tmp_path / "a.txt")
    assert [document.text for document in documents] == ["first", long, "last"]


def test_endless_line_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    """A gigabyte without a line break (a hole on the disk) under a limit of address space far below it."""
    file = tmp_path / "endless.txt"
    with file.open("wb") as handle:
        handle.truncate(1_000_000_000)
    code = (
        "import sys\n"
        "from lexloom.base.errors import DataError\n"
        "from lexloom.base.ledger import Ledger\n"
        "from lexloom.text.readers import DataSettings, read_documents\n"
        "try:\n    list(read_documents([sys.argv[1]], ledger=Ledger(), settings=DataSettings()))\n"
        "except DataError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (700_000_000, 700_000_000)),
    )
    assert "longer than 64,000,000 bytes" in done.stdout, done.stderr[-500:]


def test_byte_offset_and_line_are_exact_inside_gzip(tmp_path: Path) -> None:
    file = tmp_path / "a.txt.gz"
    file.write_bytes(gzip.compress(b"abc\n" * 300_000 + b"ab\xff\n"))
    with pytest.raises(DataError, match=r"a\.txt\.gz:300001: byte 1,200,002 \(0xFF\) isn't UTF-8"):
        read(file)


def test_encoding_is_named_and_errors_give_its_offset(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("第一行\n第二行".encode("gb18030") + b"\x80\x20")
    with pytest.raises(DataError, match=r"a\.txt:2: byte 13 isn't gb18030"):
        read(file, encoding="GB18030")
    with pytest.raises(RecipeError, match="not a text encoding"):
        check(DataSettings, {"encoding": "gb-none"}, where="recipe")
    with pytest.raises(RecipeError, match="not a text encoding"):
        check(DataSettings, {"encoding": "rot13"}, where="recipe")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "gb18030", "big5"])
def test_same_text_in_any_encoding_gives_the_same_documents(tmp_path: Path, encoding: str) -> None:
    text = "".join(f"第{number}行 line {number}\n" for number in range(30_000))
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    documents, _ = read(tmp_path / "a.txt", encoding=encoding)
    assert "".join(document.text + "\n" for document in documents) == text
    assert documents[-1].where.endswith(":30000")


def test_folder_is_read_recursively_in_sorted_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.txt", "a/z.txt", "a/b.jsonl", "c.tsv", "notes.doc"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text({"jsonl": '{"text": "j"}', "tsv": "text\nt"}.get(name.split(".")[1], name))
    documents, ledger = read(".")
    assert [document.where for document in documents] == ["./b.txt:1", "./c.tsv:2", "./a/b.jsonl:1", "./a/z.txt:1"]
    assert ledger["read", "unknown suffix"].examples == ["./notes.doc"]


def test_standard_input_is_plain_text() -> None:
    code = (
        "from lexloom.base.ledger import Ledger\n"
        "from lexloom.text.readers import DataSettings, read_documents\n"
        "for d in read_documents(['-'], ledger=Ledger(), settings=DataSettings()): print(d.text, d.where)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input="a\nb\n", capture_output=True, text=True, timeout=60)
    assert done.stdout == "a stdin:1\nb stdin:2\n"


def test_pipe_in_progress_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    (tmp_path / "b.txt").write_text("b")
    found: list[Document] = []
    reading = threading.Thread(target=lambda: found.extend(read(tmp_path)[0]), daemon=True)
    reading.start()
    reading.join(20)
    assert [document.text for document in found] == ["b"]


def test_list_of_strings_and_several_fields_are_joined(tmp_path: Path) -> None:
    row = {"title": "静夜思", "paragraphs": ["床前明月光，", "疑是地上霜。"]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    documents, _ = read(tmp_path / "a.jsonl", text_field=["title", "paragraphs"])
    assert documents[0].text == "静夜思\n床前明月光，\n疑是地上霜。"


def test_skipped_rows_are_all_listed_and_the_next_one_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "good"}\n' + "bad\n" * 5)
    documents, ledger = read(file, skip_bad_rows=5)
    assert len(documents) == 1
    assert len(ledger["read", "bad row skipped"].examples) == 5
    assert ledger["read", "bad row skipped"].examples[4].startswith(f"{file}:6: isn't JSON")
    with pytest.raises(DataError, match=r"a\.jsonl:6: isn't JSON"):
        read(file, skip_bad_rows=4)


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'lexloom\[parquet\]'"):
        read(tmp_path / "a.parquet")


def test_documents_counted_are_documents_given(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\nfirst\n二\n")
    documents, ledger = read(tmp_path / "a.csv")
    entry = ledger["read", "documents"]
    assert (entry.documents, entry.characters) == (len(documents), 6)


def test_bytes_taken_from_the_disk_add_up_to_the_size(tmp_path: Path) -> None:
    file = tmp_path / "a.txt.gz"
    file.write_bytes(gzip.compress(os.urandom(50_000).hex().encode()))
    taken: list[int] = []
    list(read_documents([str(file)], ledger=Ledger(), settings=DataSettings(), on_bytes=taken.append))
    assert sum(taken) == file.stat().st_size


def test_published_corpora_are_read_whole(shared_data) -> None:
    poems, ledger = read(shared_data("lm-tangshi-zh/tang.jsonl.gz"), text_field="paragraphs")
    assert len(poems) == ledger["read", "documents"].documents == 57_607
