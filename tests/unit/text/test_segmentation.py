import logging
import tempfile

import numpy as np
import pytest

from lexloom.text.segmentation import chinese_words, first_sentence, words


def test_a_text_is_cut_into_words_chinese_ones_by_the_dictionary():
    assert words("我来到北京清华大学。It's 2024年!") == [
        "我", "来到", "北京", "清华大学", "。", "It", "'", "s", "2024", "年", "!",
    ]  # fmt: skip
    assert words(" \n ") == []


def test_chinese_words_are_those_of_jieba_without_guessing():
    import jieba

    reference = jieba.Tokenizer()
    reference.FREQ, reference.total = reference.gen_pfdict(reference.get_dict_file())
    reference.initialized = True
    rng = np.random.default_rng(0)
    common = [word for word in reference.FREQ if reference.FREQ[word] > 300 and "\u4e00" <= word[0] <= "\u9fa5"]
    runs = ["".join(rng.choice(common, size=8)) for _ in range(200)] + ["龘龘的", "研究生命起源", "了" * 30]
    for run in runs:
        assert list(chinese_words(run)) == list(reference.cut(run, HMM=False)), run


def test_no_cache_is_left_in_the_folder_for_temporary_files(tmp_path, monkeypatch):
    from lexloom.text import segmentation as module

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    logging.getLogger("jieba").setLevel(logging.ERROR)
    module._dictionary.cache_clear()
    module.chinese_words.cache_clear()
    assert words("北京大学") == ["北京大学"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", ""),
        (" \n\t", ""),
        ("Phillip, \n could you help?", "Phillip,"),
        ("\n It costs 3.50 today. Not more.", "It costs 3.50 today."),
        ("“真的吗？”他问。是的。", "“真的吗？”"),
        (
            "采用修正的参数(MRP),建立了数学模型;设计了控制器.仿真结果表明",
            "采用修正的参数(MRP),建立了数学模型;设计了控制器.",
        ),
        ("no mark at all", "no mark at all"),
        ("Wait... what?! Yes.", "Wait..."),
    ],
)
def test_the_first_sentence_ends_at_a_mark_or_with_its_line(text, sentence):
    assert first_sentence(text) == sentence


def test_the_first_sentence_of_a_long_line_is_found_at_once():
    assert first_sentence("a" * 1_000_000) == "a" * 1_000_000
