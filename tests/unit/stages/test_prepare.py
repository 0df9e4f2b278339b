import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lexloom.base import files
from lexloom.base.errors import DataError, FolderError, UserError
from lexloom.base.ledger import Ledger
from lexloom.data.shards import open_split
from lexloom.stages.prepare import DROPPING, PrepareSettings, describe, gather, judge, prepare
from lexloom.text.spool import Spool
from lexloom.text.tokenizers import load_tokenizer

POEM = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"


def settings(*sources: Path | str, **sections: Any) -> PrepareSettings:
    data = {"sources": [str(source) for source in sources], **sections.pop("data", {})}
    tokenizer = {"vocab_size": 300, **sections.pop("tokenizer", {})}
    split = {"validation_share": 0.2, **sections.pop("split", {})}
    values = {"data": data, "tokenizer": tokenizer, "split": split, "workers": 1, **sections}
    return PrepareSettings.model_validate(values)


def corpus(folder: Path, documents: int = 60) -> Path:
    file = folder / "corpus.txt"
    lines = [
        f"第{number}首：{POEM[number % 12 :]} verse {number} of many " + "x" * (number + 1)
        for number in range(documents)
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def every_byte(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_prepared_folder_holds_what_was_read(tmp_path: Path) -> None:
    facts = prepare(settings(corpus(tmp_path)), tmp_path / "out")
    files.verify_folder(tmp_path / "out")
    tokenizer = load_tokenizer(tmp_path / "out")
    texts = []
    for split in ("train", "validation"):
        shards = open_split(tmp_path / "out", split, tokenizer_sha256=tokenizer.sha256)
        assert shards.total_tokens == facts["tokens"][split]
        start = 0
        for end in shards.documents[:, 0]:
            texts.append(tokenizer.decode(shards.tokens(start, int(end)).tolist()))
            start = int(end)
    assert sorted(texts) == sorted(corpus(tmp_path).read_text(encoding="utf-8").split("\n"))
    assert facts["ledger"] == json.loads((tmp_path / "out" / "ledger.json").read_text(encoding="utf-8"))
    assert "spool.zst" not in every_byte(tmp_path / "out")


def test_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    lines = [f"{'词' * (number % 90)} line {number % 700} \u200b of  {number % 50} a@b.cn" for number in range(9000)]
    (tmp_path / "a.txt").write_text("\r\n".join(lines), encoding="utf-8")
    made = []
    for workers in (1, 3):
        prepare(settings(tmp_path / "a.txt", workers=workers, redact={"kinds": ["all"]}), tmp_path / str(workers))
        made.append(every_byte(tmp_path / str(workers)))
    assert made[0] == made[1]


TEXT = st.text(alphabet="ab 中\u200b\n@1.", max_size=12)
ROW = st.one_of(TEXT.map(lambda text: json.dumps({"text": text})), st.sampled_from(["", "bad", "{}", '{"text": 1}']))


@given(rows=st.lists(ROW, max_size=30), share=st.sampled_from([0.1, 0.5]), exact=st.booleans(), near=st.booleans())
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_documents_read_are_those_kept_and_those_dropped(
    tmp_path: Path, rows: list[str], share: float, exact: bool, near: bool
) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "evaluation.txt").write_text("ab ab ab ab ab ab 中 ab\n", encoding="utf-8")
    chosen = settings(
        tmp_path / "a.jsonl",
        data={"skip_bad_rows": 1000},
        split={"validation_share": share},
        filter={"at_most": {"longest_run": 4}, "cut_characters": 9},
        duplicates={"exact": exact, "near": near},
        decontaminate={"files": [str(tmp_path / "evaluation.txt")], "words": 4},
    )
    ledger = Ledger()
    with Spool(tmp_path / "spool") as spool:
        kept = gather(chosen, spool, ledger)
        judge(kept, spool, chosen, ledger)
        texts = {side: list(kept.texts(spool, side)) for side in ("train", "validation")}
    stages = {stage: 0 for stage, _, _ in ledger}
    for stage, outcome, entry in ledger:
        if not outcome.startswith(("cut", "evaluation texts", "bad row", "blank line", "empty file")):
            stages[stage] += entry.documents
    dropped = sum(stages.get(stage, 0) for stage in DROPPING)
    assert ledger["read", "documents"].documents == stages.get("split", 0) + dropped
    for side, found in texts.items():
        assert ledger["split", side].documents == len(found)
        assert ledger["split", side].characters == sum(map(len, found))
    assert len(rows) == sum(
        ledger["read", outcome].documents for outcome in ("documents", "bad row skipped", "blank line")
    ) + (rows[-1:] == [""])


DEGENERATE: dict[str, tuple[str, dict[str, Any], str]] = {
    "empty": ("", {}, "no document is left in the sources"),
    "blank": (" \n\n", {}, "no document is left in the sources"),
    "one document": ("a single line", {}, "no document fell to"),
    "all equal": ("the same\n" * 50, {}, "1 of 50 documents are left"),
    "all filtered": ("a\nb\nc\n", {"filter": {"at_least": {"characters": 9}}}, "3 characters below 9"),
    "only invisible": ("\u200b\n\u200b\n", {}, "of 2 read: 2 empty"),
    "one file as one document": ("a\nb\n", {"data": {"documents": "file"}}, "Add documents, cut the text"),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_corpus_gets_a_sentence_that_says_what_is_needed(tmp_path: Path, name: str) -> None:
    text, sections, sentence = DEGENERATE[name]
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        prepare(settings(tmp_path / "a.txt", **sections), tmp_path / "out")
    assert sentence in str(caught.value)
    assert caught.value.fix
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_error_in_the_data_leaves_nothing_behind(tmp_path: Path) -> None:
    file = corpus(tmp_path)
    file.write_bytes(file.read_bytes() + b"\n\xff")
    with pytest.raises(DataError, match=r"corpus\.txt:61: byte"):
        prepare(settings(file), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.txt"]


def test_full_disk_at_any_moment_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = corpus(tmp_path, 20)

    class FullDisk(files.Disk):
        left = 0

        def write(self, handle: Any, data: Any) -> int:
            self.left -= 1
            if self.left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(handle, data)

    failures = 0
    for writes in range(100):
        full = FullDisk()
        full.left = writes
        monkeypatch.setattr(files, "disk", full)
        try:
            prepare(settings(file, duplicates={"near": False}), tmp_path / "out")
        except OSError:
            failures += 1
            assert [path.name for path in tmp_path.iterdir()] == ["corpus.txt"]
        else:
            break
    assert failures > 5
    monkeypatch.undo()
    files.verify_folder(tmp_path / "out")


def test_existing_folder_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    file = corpus(tmp_path)
    prepare(settings(file), tmp_path / "out")
    before = every_byte(tmp_path / "out")
    with pytest.raises(FolderError, match="already exists"):
        prepare(settings(file), tmp_path / "out")
    prepare(settings(file), tmp_path / "out", replace=True)
    assert every_byte(tmp_path / "out") == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FolderError):
        prepare(settings(file), tmp_path / "mine", replace=True)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_tokenizer_is_trained_or_read(tmp_path: Path) -> None:
    file = corpus(tmp_path)
    first = prepare(settings(file), tmp_path / "first")
    second = prepare(settings(file, tokenizer={"file": str(tmp_path / "first")}), tmp_path / "second")
    assert first["tokenizer_sha256"] == second["tokenizer_sha256"]
    assert first["tokens"] == second["tokens"]


def test_unknown_characters_are_counted(tmp_path: Path) -> None:
    facts = prepare(settings(corpus(tmp_path), tokenizer={"kind": "characters", "vocab_size": 16}), tmp_path / "out")
    unknown = [row for row in facts["ledger"] if row["stage"] == "encode"]
    assert [row["outcome"] for row in unknown] == [
        "unknown to the tokenizer (train)",
        "unknown to the tokenizer (validation)",
    ]
    assert all(row["characters"] > 0 for row in unknown)


def test_kept_text_is_the_cleaned_text_of_each_side(tmp_path: Path) -> None:
    facts = prepare(settings(corpus(tmp_path), keep_text=True), tmp_path / "out")
    for split in ("train", "validation"):
        packed = (tmp_path / "out" / split / "text.jsonl.zst").read_bytes()
        rows = [json.loads(row) for row in zstandard.ZstdDecompressor().decompressobj().decompress(packed).splitlines()]
        assert len(rows) == facts["documents"][split]
        assert all(row["where"].startswith(f"{tmp_path}/corpus.txt:") for row in rows)


def test_description_shows_the_ledger_and_the_outcome(tmp_path: Path) -> None:
    text = describe(prepare(settings(corpus(tmp_path)), tmp_path / "out"))
    assert "read" in text.splitlines()[1]
    assert "vocabulary of 300" in text.splitlines()[-1]


def test_decontamination_names_the_file_and_spares_the_rest(tmp_path: Path) -> None:
    file = corpus(tmp_path)
    evaluation = tmp_path / "evaluation.jsonl"
    evaluation.write_text(
        json.dumps({"text": f"试题：{POEM} 请背诵全文并且默写一遍然后交给老师看一看"}, ensure_ascii=False)
    )
    with pytest.raises(UserError, match="no such file"):
        prepare(settings(file, decontaminate={"files": ["gone.jsonl"]}), tmp_path / "out")
    facts = prepare(settings(file, decontaminate={"files": [str(evaluation)], "words": 10}), tmp_path / "out")
    dropped = [row for row in facts["ledger"] if row["outcome"] == f"overlaps with {evaluation}"]
    assert len(dropped) == 1
    assert dropped[0]["documents"] == 5


def test_prepare_needs_no_torch() -> None:
    code = "import sys; import lexloom.stages.prepare; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_named_validation_files_are_the_validation_side_and_are_never_trained_on(tmp_path: Path) -> None:
    train = corpus(tmp_path)
    held_out = tmp_path / "held_out.txt"
    held_out.write_text("整首都没有见过的诗。\n" + train.read_text(encoding="utf-8").splitlines()[3], encoding="utf-8")
    chosen = settings(train, split={"validation_sources": [str(held_out)]}, duplicates={"near": False}, keep_text=True)
    facts = prepare(chosen, tmp_path / "out")
    assert facts["documents"] == {"train": 59, "validation": 2}
    [dropped] = [row for row in facts["ledger"] if row["outcome"] == "exact"]
    assert dropped["examples"][0].endswith("corpus.txt:4")
