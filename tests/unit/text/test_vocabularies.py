import gzip

import pytest

from lexloom.base.errors import FolderError
from lexloom.text.vocabularies import read_tokenizer


@pytest.fixture
def texts(shared_data):
    names = ["lm-cluecorpussmall-zh/CLUECorpusSmall_sampled.txt.gz", "lm-tangshi-zh/tang.jsonl.gz"]
    names += ["lm-tinyshakespeare/input.txt", "lm-wikitext2/valid.txt.gz"]
    lines = ["  a  b \n\n c", "\n", "", "é e\u0301 ﬁ １２ ａ\u3000b", "😀👩\u200d👧 x\u200by"]
    for path in map(shared_data, names):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = data.decode()[:120_000]
        lines += [*text.splitlines(keepends=True), text[:40_000]]
    return lines


@pytest.mark.parametrize(
    ("name", "lowercase"),
    [("bert-base-uncased-vocab", True), ("bert-base-cased-vocab", False), ("bert-base-chinese-vocab", False)],
)
def test_bert_vocabularies_give_the_ids_of_transformers(shared_data, texts, name, lowercase):
    transformers = pytest.importorskip("transformers")
    path = shared_data(f"vocab/{name}.txt")
    ours = read_tokenizer(path, lowercase=lowercase)
    theirs = transformers.BertTokenizer(str(path), do_lower_case=lowercase)
    assert ours.encode_batch(texts) == theirs(texts, add_special_tokens=False)["input_ids"]
    assert (ours.bos_id, ours.eos_id, ours.pad_id) == (theirs.cls_token_id, theirs.sep_token_id, theirs.pad_token_id)


def test_gpt2_s_vocabulary_gives_the_ids_of_transformers(shared_data, texts):
    transformers = pytest.importorskip("transformers")
    path, merges = shared_data("vocab/gpt2-vocab.json"), shared_data("vocab/gpt2-merges.txt")
    ours = read_tokenizer(path)
    assert ours.encode_batch(texts) == transformers.GPT2Tokenizer(str(path), str(merges))(texts)["input_ids"]
    assert ours.eos_id == 50256
    assert [ours.decode(ids) for ids in ours.encode_batch(texts)] == texts


def test_minimind_s_tokenizer_gives_the_ids_of_transformers(shared_data, texts):
    transformers = pytest.importorskip("transformers")
    path = shared_data("vocab/minimind-tokenizer.json")
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path))
    assert read_tokenizer(path).encode_batch(texts) == theirs(texts, add_special_tokens=False)["input_ids"]


def test_a_sentencepiece_model_gives_the_ids_of_sentencepiece(shared_data, texts):
    sentencepiece = pytest.importorskip("sentencepiece")
    path = shared_data("vocab/cluecorpussmall_spm.model")
    ours, theirs = read_tokenizer(path), sentencepiece.SentencePieceProcessor(model_file=str(path))
    assert ours.vocab_size == theirs.get_piece_size()
    assert (ours.pad_id, ours.unk_id, ours.bos_id, ours.eos_id) == (0, 1, 2, 3)
    expected = theirs.encode(texts)
    different = [k for k, ids in enumerate(ours.encode_batch(texts)) if ids != expected[k]]
    # Two segmentations of equal score: the libraries break the tie differently.
    assert len(different) <= len(texts) // 2000
    for k in different:
        assert sum(map(theirs.get_score, ours.encode(texts[k]))) == pytest.approx(
            sum(map(theirs.get_score, expected[k])), rel=1e-5
        )


def test_a_cut_sentencepiece_model_is_damage(shared_data, tmp_path):
    data = shared_data("vocab/cluecorpussmall_spm.model").read_bytes()
    for size in (1, 10, 1000, len(data) - 1):
        path = tmp_path / "cut.model"
        path.write_bytes(data[:size])
        with pytest.raises(FolderError, match=r"cut.model: "):
            read_tokenizer(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.model", b"", "no unknown piece"),
        ("t.model", b"hello", "not a SentencePiece model"),
        ("t.txt", b"a\nb\n", "not a vocabulary of BERT's form: it lacks"),
        ("t.txt", b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\na\n", r"t.txt:8: has the piece 'a' twice"),
        ("t.txt", b"\xff\xfe", "not UTF-8"),
        ("t.json", b"{}", "vocabulary without merges"),
        ("t.json", b"[]", "not a JSON object"),
        ("t.json", b"no", "not JSON"),
        ("t.pkl", b"\x80\x04.", "not a tokenizer"),
    ],
)
def test_files_that_hold_no_tokenizer_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FolderError, match=message):
        read_tokenizer(tmp_path / name)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(FolderError, match="no such tokenizer"):
        read_tokenizer(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("merges", "message"), [("a b c\n", r"merges.txt:1: is not a merge"), ("a z\n", r"merge 0 \(a z\) uses 'z'")]
)
def test_broken_merges_are_refused(tmp_path, merges, message):
    (tmp_path / "vocab.json").write_text('{"a": 0, "b": 1, "<|endoftext|>": 2}')
    (tmp_path / "merges.txt").write_text(merges)
    with pytest.raises(FolderError, match=message):
        read_tokenizer(tmp_path / "vocab.json")
