"""The n-gram model is KenLM's: the same tables from the same text, and ARPA files that say the same both ways.

tests/fixtures/ngram holds what KenLM's lmplz made of text.txt (tiny Shakespeare's first lines, lower case):
    lmplz -o 3 < text.txt > order3.arpa
    lmplz -o 3 --prune 0 1 1 < text.txt > pruned.arpa
"""

import math
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
from tokenizers import models

from lexloom.base.errors import DataError, FolderError, UserError
from lexloom.models import new_model
from lexloom.models.arpa import export_arpa, import_arpa, read_arpa
from lexloom.models.folder import ModelFolder, load_model, save_model
from lexloom.models.gpt import Config as GptConfig
from lexloom.models.ngram import Config, fit
from lexloom.nn.forks import Fork, Forks
from lexloom.tasks.batches import EncodedExamples
from lexloom.text.tokenizers import Tokenizer
from tests.counting import counted_model

FIXTURES = Path(__file__).parents[2] / "fixtures" / "ngram"
PRUNES = {"order3.arpa": (), "pruned.arpa": (1, 1)}
TOLERANCE = 2e-6
"""Of natural logarithms: lmplz computes in float32 and writes eight digits."""


@pytest.fixture(scope="module")
def texts():
    return (FIXTURES / "text.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def names(texts):
    words = dict.fromkeys(word for text in texts for word in text.split())
    return {name: number for number, name in enumerate(("</s>", "<unk>", *words))}


def model_of(texts, names, prune=()):
    documents = [[names[word] for word in text.split()] for text in texts]
    return counted_model("ngram", Config(vocab_size=len(names), order=3, prune=prune), documents)


def tokenizer_of(names):
    inner = tokenizers.Tokenizer(models.WordLevel(names, "<unk>"))
    inner.add_special_tokens(["</s>", "<unk>"])
    return Tokenizer(inner.to_str().encode(), {"eos_token": "</s>", "unk_token": "<unk>"})


def folder_of(model, names):
    return ModelFolder(model, tokenizer_of(names), "ngram", facts={}, generation={})


def entries(file):
    """{n-gram: (log10 p, log10 γ)} of an ARPA file, which need not be in any order."""
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        fields = line.split("\t")
        if len(fields) > 1:
            found[tuple(fields[1].split())] = (float(fields[0]), float(fields[2]) if len(fields) > 2 else 0.0)
    return found


@pytest.mark.parametrize("file", PRUNES)
def test_every_n_gram_has_the_probability_and_weight_that_lmplz_gives_it(file, texts, names, tmp_path):
    model = model_of(texts, names, PRUNES[file])
    export_arpa(folder_of(model, names), tmp_path / "ours.arpa")
    ours, theirs = entries(tmp_path / "ours.arpa"), entries(FIXTURES / file)
    assert ours.keys() == theirs.keys()
    for gram, pair in theirs.items():
        assert ours[gram] == pytest.approx(pair, abs=TOLERANCE / math.log(10) * 2), gram


def test_what_lmplz_wrote_scores_as_what_we_counted(texts, names):
    """Their file, read: every context, its words known and unknown to it, in a text they have never seen."""
    ours, (theirs, tokenizer) = model_of(texts, names), read_arpa(FIXTURES / "order3.arpa")
    rng = np.random.default_rng(0)
    ids = rng.integers(1, len(names), size=400)
    words = [list(names)[number] for number in ids]
    their_ids = [tokenizer.id(word) for word in words]
    found = ours.log_probabilities(ours.hidden(torch.from_numpy(ids)[None, :-1])[0], torch.from_numpy(ids[1:]))
    their_TD = theirs.hidden(torch.tensor([their_ids[:-1]]))[0]
    assert (theirs.log_probabilities(their_TD, torch.tensor(their_ids[1:])) - found).abs().max() < 1e-5


def test_scores_are_equal_after_the_round_trip(texts, names, tmp_path):
    model = model_of(texts, names, (0, 1))
    count = export_arpa(folder_of(model, names), tmp_path / "model.arpa")
    assert count == len(entries(tmp_path / "model.arpa"))
    import_arpa(tmp_path / "model.arpa", tmp_path / "folder")
    again = load_model(tmp_path / "folder")
    ids_BL = torch.from_numpy(np.random.default_rng(1).integers(len(names), size=(4, 50)))
    assert (again.model(ids_BL) - model(ids_BL)).abs().max() < TOLERANCE
    text = "first citizen : before"
    assert again.tokenizer.encode(text) == [names[word] for word in text.split()]
    assert again.tokenizer.decode(again.tokenizer.encode(text)) == text


def test_probabilities_of_all_tokens_sum_to_one(texts, names):
    model = model_of(texts, names, (0, 1))
    ids_BL = torch.tensor([[names[word] for word in texts[8].split()], [0] * len(texts[8].split())])
    assert (model(ids_BL).double().exp().sum(-1) - 1).abs().max() < 1e-5


def test_tables_are_used_where_they_lie_in_the_file(texts, names, tmp_path):
    """So a model may be larger than memory."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("only Linux tells what is mapped")
    save_model(tmp_path / "model", model_of(texts, names), None, provenance={}, generation=None, card="")
    model = load_model(tmp_path / "model").model
    spans = [line.split()[0].split("-") for line in maps.read_text().splitlines() if str(tmp_path / "model") in line]
    for name, table in model.named_parameters():
        assert any(int(start, 16) <= table.data_ptr() < int(end, 16) for start, end in spans), name


@torch.inference_mode()
def test_branches_that_share_a_trunk_are_read_as_if_alone(texts, names):
    model = model_of(texts, names)
    ids = torch.tensor([number for text in texts for number in [names[word] for word in text.split()]][:29])
    forks = [Fork(5, (3, 0, 4)), Fork(0, (2, 6)), Fork(4, ()), Fork(3, (2,))]
    x_TD = model.hidden(ids[None], cache=Forks(forks, ids.device))[0]
    start = 0
    for fork in forks:
        trunk, branch = list(range(start, start + fork.trunk)), start + fork.trunk
        for length in fork.branches or (0,):
            own = trunk + list(range(branch, branch + length))
            if own:
                assert torch.equal(x_TD[own], model.hidden(ids[own][None])[0])
            branch += length
        start += fork.tokens


# ---- what is refused ----


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": 0}, "order"),
        ({"order": 99}, "order"),
        ({"prune": (2, 1)}, "rise"),
        ({"prune": (0, 0, 1)}, "rise"),
        ({"prune": (-1,)}, "whole numbers"),
        ({"sizes": (4,)}, "one number for each order"),
    ],
)
def test_an_impossible_shape_is_refused(change, message):
    with pytest.raises(UserError, match=message):
        Config(**{"vocab_size": 9, "order": 3, **change})


def test_labelled_examples_are_no_corpus(tmp_path):
    with pytest.raises(UserError, match="counted on a corpus"):
        fit(Config(vocab_size=9), EncodedExamples([]), lambda *_: None, scratch=tmp_path, memory_mb=1)


ARPA = """\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-1\t<unk>\t0
0\t<s>\t-0.3
-0.5\t</s>\t0
-0.6\ta\t-0.2

\\2-grams:
-0.2\t<s> a
-0.4\ta </s>

\\end\\
"""


def test_a_small_file_says_what_it_says(tmp_path):
    (tmp_path / "a.arpa").write_text(ARPA, encoding="utf-8")
    model, tokenizer = read_arpa(tmp_path / "a.arpa")
    unknown, end, a = (tokenizer.id(name) for name in ("<unk>", "</s>", "a"))
    scores_LV = model(torch.tensor([[end, a, unknown]]))[0] / math.log(10)
    expected = {
        (0, a): -0.2, (0, end): -0.3 - 0.5, (0, unknown): -1.3,
        (1, end): -0.4, (1, a): -0.2 - 0.6, (2, a): -0.6, (2, end): -0.5,
    }  # fmt: skip
    assert {place: scores_LV[place].item() for place in expected} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ngram 2=2", "ngram 3=2", r"a\.arpa:3: .*ngram 2"),
        ("-0.2\t<s> a", "-0.2\t<s> b", r"a\.arpa:12: the token 'b'"),
        ("-0.2\t<s> a", "nothing\t<s> a", "is no 2-gram"),
        ("-0.2\t<s> a", "0.2\t<s> a", "is no 2-gram"),
        ("-0.2\t<s> a", "nan\t<s> a", "is no 2-gram"),
        ("-0.2\t<s> a", "-0.2\t</s> a", "across the end"),
        ("-0.2\t<s> a", "-0.4\ta </s>", "has a 2-gram twice"),
        ("-0.2\t<s> a\n", "", "is no 2-gram"),
        ("</s>\t0", "end\t0", "no </s>"),
        ("\\end\\", "", r"ends before \\end"),
    ],
)
def test_a_damaged_file_is_refused_by_its_line(old, new, message, tmp_path):
    (tmp_path / "a.arpa").write_text(ARPA.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_arpa(tmp_path / "a.arpa")


def test_a_context_that_is_no_n_gram_itself_is_refused(tmp_path):
    text = ARPA.replace("ngram 2=2", "ngram 2=2\nngram 3=1").replace("\\end\\", "\\3-grams:\n-1\ta a </s>\n\n\\end\\")
    (tmp_path / "a.arpa").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="order below"):
        read_arpa(tmp_path / "a.arpa")


def test_only_n_grams_become_an_arpa_file(names, tmp_path):
    gpt = new_model("gpt", GptConfig(vocab_size=len(names), width=8, layers=1, heads=1, context=8), seed=0)
    with pytest.raises(FolderError, match="holds a gpt"):
        export_arpa(ModelFolder(gpt, tokenizer_of(names), "gpt", facts={}, generation={}), tmp_path / "x.arpa")
