import gzip
import json
from pathlib import Path

import pytest

from lexloom.base.errors import DataError
from lexloom.base.ledger import Ledger
from lexloom.text.decontamination import Contaminants, DecontaminateSettings, read_contaminants

ENGLISH = "the cat sat on the mat while the dog lay by the door and the bird sang in its cage"
CHINESE = "话说天下大势分久必合合久必分周末七国分争并入于秦及秦灭之后楚汉分争又并入于汉"


def contaminants(folder: Path, **settings: object) -> tuple[Contaminants, Ledger]:
    (folder / "english.txt").write_text(f"{ENGLISH}\ntoo short\n")
    (folder / "chinese.jsonl").write_text(json.dumps({"text": CHINESE}))
    files = (str(folder / "english.txt"), str(folder / "chinese.jsonl"))
    ledger = Ledger()
    return read_contaminants(DecontaminateSettings.model_validate({"files": files, **settings}), ledger), ledger


def test_documents_that_share_a_stretch_are_found_with_their_file(tmp_path: Path) -> None:
    found, _ = contaminants(tmp_path)
    english = "He said: THE CAT sat on the mat, while the dog lay by the door! And then he left the room."
    chinese = "开头的几句是：话说天下大势，分久必合，合久必分。周末七国分争，并入于秦，及秦灭之后——大家都会背。"
    words = ENGLISH.split()
    texts = [
        "something else",
        english,
        chinese,
        "",
        CHINESE[:25],
        CHINESE[:26],
        " ".join(words[:12]),
        " ".join(words[:13]),
        " ".join(words[::-1]),
        CHINESE[::-1],
    ]
    names = [None if name is None else Path(name).name for name in found.sources_of(texts)]
    one, other = "english.txt", "chinese.jsonl"
    assert names == [None, one, other, None, None, other, None, one, None, None]


def test_texts_too_short_to_look_for_are_counted(tmp_path: Path) -> None:
    _, ledger = contaminants(tmp_path)
    assert ledger["decontaminate", "evaluation texts looked for"].documents == 2
    short = ledger["decontaminate", "evaluation texts too short to look for"]
    assert short.documents == 1
    assert short.examples == [f"{tmp_path / 'english.txt'}:2"]


def test_shorter_stretches_can_be_asked_for(tmp_path: Path) -> None:
    found, _ = contaminants(tmp_path, words=5)
    assert found.sources_of([CHINESE[3:13]]) == [str(tmp_path / "chinese.jsonl")]


def test_file_of_both_is_named_first(tmp_path: Path) -> None:
    found, _ = contaminants(tmp_path)
    assert found.sources_of([CHINESE + ENGLISH]) == [str(tmp_path / "english.txt")]


def test_no_files_find_nothing() -> None:
    found = read_contaminants(DecontaminateSettings(), Ledger())
    assert found.sources_of([ENGLISH, ""]) == [None, None]


def test_evaluation_file_without_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match="holds no evaluation text"):
        read_contaminants(DecontaminateSettings(files=(str(tmp_path / "empty.txt"),)), Ledger())


def test_real_corpus_is_clean_of_another_and_full_of_itself(shared_data) -> None:
    lambada = shared_data("lm-lambada/lambada_openai.jsonl.gz")
    settings = DecontaminateSettings(files=(str(lambada),), text_field="context")
    found = read_contaminants(settings, Ledger())
    plays = shared_data("lm-tinyshakespeare/input.txt").read_text().split("\n\n")
    assert found.sources_of(plays) == [None] * len(plays)
    stories = gzip.decompress(lambada.read_bytes()).decode().splitlines()
    stories = [json.loads(story)["context"] for story in stories[:50]]
    assert found.sources_of(stories) == [str(lambada)] * 50
