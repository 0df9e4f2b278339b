"""What can be wrong inside of labelled data: for each format name → (the file, what must happen, further settings)."""

import json
from dataclasses import dataclass
from typing import Any

from tests.faults.horror import Counted, counted, refused

STAGE = "labelled"
LONG = "长" * 100_000


@dataclass(frozen=True)
class Read:
    """Nothing is wrong with it: so many examples come out."""

    examples: int


SQUAD = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": "Good words live here",
                    "qas": [
                        {"id": "1", "question": "What lives?", "answers": [{"text": "words", "answer_start": 5}]},
                        {"id": "2", "question": "Where?", "answers": [{"text": "here", "answer_start": 16}]},
                    ],
                }
            ]
        }
    ]
}
SEMEVAL = '{}\t"A <e1>Good</e1> man has <e2>words</e2>."\nOther\nComment:\n\n'


def _labelled(outcome: str, times: int = 1) -> Counted:
    return counted(outcome, times, stage=STAGE)


Cases = dict[str, tuple[str, Any, dict[str, Any]]]
HEAD = "text,label\n"
TABLES: Cases = {
    "header only": (HEAD, _labelled("file without a row"), {}),
    "one row": (HEAD + "a,b\n", Read(1), {}),
    "quote that never closes": (HEAD + '"a,b\nc,d\n', refused(":2:", "never closed"), {}),
    "quote inside a cell": (HEAD + '"a"b,c\n', refused(":2:", "isn't CSV"), {}),
    "quote after 100,000 characters": (HEAD + f'"{LONG}\n', refused(":2:", "never closed"), {}),
    "quoted line break": (HEAD + '"a\nb",c\n', Read(1), {}),
    "quotes without quoting": (HEAD + '"a,"b\n', Read(1), {"quoting": False}),
    "field of 100,000 characters": (HEAD + f"{LONG},a\n", Read(1), {}),
    "label of 100,000 characters": (HEAD + f"a,{LONG}\n", Read(1), {}),
    "ragged, short": (HEAD + "a\n", refused(":2:", "1 cells under 2 columns"), {}),
    "ragged, long": (HEAD + "a,b,c\n", refused(":2:", "3 cells under 2 columns"), {}),
    "ragged, left out": (HEAD + "a,b,c\nd,e\n", counted("bad row skipped"), {"skip_bad_rows": 1}),
    "ragged, one too many": (HEAD + "a,b,c\nd\n", refused(":3:"), {"skip_bad_rows": 1}),
    "column named twice": ("text,label,label\na,b,c\n", refused(":1:", "same name"), {}),
    "column named twice in the settings": (HEAD, refused("twice"), {"columns": ["text", "text"]}),
    "empty column of texts": (HEAD + ",a\n,b\n", _labelled("empty text", 2), {}),
    "white texts": (HEAD + " ,a\n", _labelled("empty text"), {}),
    "empty column of labels": (HEAD + "a,\nb,\n", _labelled("without a label", 2), {}),
    "white labels": (HEAD + "a, \n", _labelled("without a label"), {}),
    "no column of labels": ("text\na\n", _labelled("without a label"), {}),
    "label column misspelt": (HEAD + "a,b\n", _labelled("no column 'lable', so no label"), {"label": "lable"}),
    "text column misspelt": (HEAD + "a,b\n", refused(":2:", "no column 'txt'", "'text', 'label'"), {"text": "txt"}),
    "unusual names": ("foo,bar\na,b\n", refused(":2:", "usual name", "'foo', 'bar'"), {}),
    "no header": ("a,b\nc,d\n", refused("'a', 'b'", "usual name"), {}),
    "two texts that may be meant": ("text,review,label\na,b,c\n", refused("'text', 'review' may each"), {}),
    "two labels that may be meant": ("text,label,score\na,b,c\n", refused("'label' and 'score'"), {}),
    "a pair and a text": ("text,sentence1,sentence2,label\na,b,c,d\n", refused("may each be the text"), {}),
    "wrong delimiter": ("text;label\na;b\n", refused("'text;label'"), {}),
    "delimiter of two characters": (HEAD, refused("one character"), {"delimiter": "||"}),
    "delimiter of nothing": (HEAD, refused("one character"), {"delimiter": ""}),
    "quote as delimiter": (HEAD, refused("one character"), {"delimiter": '"'}),
    "empty list of delimiters": (HEAD, refused("at least one"), {"delimiter": []}),
    "too few names for the delimiters": ("a b\n", refused("2 columns"), {"delimiter": [" "], "columns": ["text"]}),
    "line without the delimiter": (
        "a b\nc\n",
        refused(":2:", "no ' '"),
        {"delimiter": [" "], "columns": ["label", "text"]},
    ),
    "names that the file repeats": (
        HEAD + "a,b\n",
        counted("line that names the columns"),
        {"columns": ["text", "label"]},
    ),
    "fewer names than columns": (HEAD + "a,b\n", refused(":1:", "2 cells under 1"), {"columns": ["text"]}),
    "blank lines between": (HEAD + "\na,b\n\n", counted("blank line", 2), {}),
    "a column without a name": (",label\na,b\n", refused("usual name"), {}),
    "5,000 columns": (",".join(map(str, range(5000))) + "\n" + "," * 4999 + "\n", refused("and 4980 more"), {}),
    "encoding that isn't": (HEAD, refused("not a text encoding"), {"encoding": "utf-9"}),
    "unknown setting": (HEAD, refused("unknown key", "text"), {"txt": "a"}),
    "text column without a name in the settings": (HEAD + "a,b\n", refused("text = ''"), {"text": ""}),
    "three texts": (HEAD + "a,b\n", refused("more than a pair"), {"text": ["a", "b", "c"]}),
    "empty list of texts": (HEAD + "a,b\n", refused("text"), {"text": []}),
}
ROWS: Cases = {
    "not JSON": ('{"text": "a"\n', refused(":1:", "isn't JSON"), {}),
    "second line isn't JSON": ('{"text": "a", "label": "b"}\nx\n', refused(":2:", "isn't JSON"), {}),
    "a number": ("5\n", refused(":1:", "a number, not an object"), {}),
    "null": ("null\n", refused(":1:", "null, not an object"), {}),
    "a list": ('["a", "b"]\n', refused(":1:", "a list, not an object"), {}),
    "empty object": ("{}\n", refused(":1:", "usual name", "none"), {}),
    "text is a number": ('{"text": 5, "label": "a"}\n', refused(":1:", "a number, not text"), {}),
    "text is null": ('{"text": null, "label": "a"}\n', refused(":1:", "null, not text"), {}),
    "text is an object": ('{"text": {"a": 1}, "label": "a"}\n', refused(":1:", "not text"), {}),
    "label is an object": ('{"text": "a", "label": {"b": 1}}\n', refused(":1:", "not a text"), {}),
    "label is a list": ('{"text": "a", "label": ["b"]}\n', refused(":1:", "a list", "multi-label"), {}),
    "label is NaN": ('{"text": "a", "label": NaN}\n', refused(":1:", "not finite"), {}),
    "label is infinite": ('{"text": "a", "label": -Infinity}\n', refused(":1:", "not finite"), {}),
    "label is null": ('{"text": "a", "label": null}\n', _labelled("without a label"), {}),
    "label is true": ('{"text": "a", "label": true}\n', Read(1), {}),
    "label is a number": ('{"text": "a", "label": 1}\n', Read(1), {}),
    "label is a number of 4,000 digits": (f'{{"text": "a", "label": {"9" * 4000}}}\n', Read(1), {}),
    "label is a number of 5,000 digits": (
        f'{{"text": "a", "label": {"9" * 5000}}}\n',
        refused(":1:", "isn't JSON"),
        {},
    ),
    "half a character in the text": ('{"text": "\\ud800", "label": "a"}\n', refused(":1:", "lone surrogate"), {}),
    "half a character in the label": ('{"text": "a", "label": "\\udfff"}\n', refused(":1:", "lone surrogate"), {}),
    "half a character elsewhere": (
        '{"text": "a", "label": "b", "c": [{"\\ud800": 1}]}\n',
        refused(":1:", "lone surrogate"),
        {},
    ),
    "half a character in a name": ('{"\\ud800": "a"}\n', refused(":1:", "usual name"), {}),
    "NUL written out": ('{"text": "\\u0000", "label": "a"}\n', refused(":1:", "NUL"), {}),
    "key that stands twice": ('{"text": "a", "text": "b", "label": "c"}\n', refused(":1:", "stands twice"), {}),
    "key missing in the second row": (
        '{"text": "a", "label": "b"}\n{"label": "c"}\n',
        refused(":2:", "no field 'text'"),
        {},
    ),
    "label missing in the second row": (
        '{"text": "a", "label": "b"}\n{"text": "c"}\n',
        _labelled("without a label"),
        {},
    ),
    "label first in the second row": ('{"text": "a"}\n{"text": "c", "label": "b"}\n', _labelled("without a label"), {}),
    "half a pair in the second row": (
        '{"sentence1": "a", "sentence2": "b"}\n{"sentence1": "c"}\n',
        refused(":2:", "no field 'sentence2'"),
        {},
    ),
    "nested 900 deep": ('{"text": "a", "label": "b", "c": ' + "[" * 900 + "]" * 900 + "}\n", Read(1), {}),
    "nested 100,000 deep": ('{"text": ' + "[" * 100_000 + "}\n", refused(":1:", "nested too deeply"), {}),
    "everything skipped": ("x\ny\n", _labelled("file without a row"), {"skip_bad_rows": 2}),
    "text of 100,000 characters": (f'{{"text": "{LONG}", "label": "a"}}\n', Read(1), {}),
}
SEVERAL: Cases = {
    "no label applies": ('{"text": "a", "label": []}\n', Read(1), {}),
    "empty cell": ('{"text": "a", "label": ""}\n', Read(1), {}),
    "null": ('{"text": "a", "label": null}\n', _labelled("without a label"), {}),
    "list of lists": ('{"text": "a", "label": [["b"]]}\n', refused(":1:", "not a text"), {}),
    "list of objects": ('{"text": "a", "label": [{}]}\n', refused(":1:", "not a text"), {}),
    "NaN among them": ('{"text": "a", "label": ["b", NaN]}\n', refused(":1:", "not finite"), {}),
    "the same twice": ('{"text": "a", "label": "b,b, b"}\n', Read(1), {}),
    "separator of nothing": ("", refused("label_separator"), {"label_separator": ""}),
}
SCORES = "sentence1,sentence2,score\n"
PAIRS: Cases = {
    "a word for a number": (SCORES + "a,b,high\n", refused(":2:", "'high', not a finite number"), {}),
    "NaN": (SCORES + "a,b,nan\n", refused(":2:", "finite"), {}),
    "infinity": (SCORES + "a,b,-inf\n", refused(":2:", "finite"), {}),
    "1e999": (SCORES + "a,b,1e999\n", refused(":2:", "finite"), {}),
    "underscores": (SCORES + "a,b,1_0\n", refused(":2:", "finite"), {}),
    "decimal comma": (SCORES + 'a,b,"1,5"\n', refused(":2:", "finite"), {}),
    "no number": (SCORES + "a,b,\n", _labelled("without a label"), {}),
    "an empty half": (SCORES + "a,,1\n", _labelled("empty text"), {}),
    "number of 5,000 digits": (SCORES + f"a,b,{'9' * 5000}\n", refused(":2:", "finite"), {}),
    "full-width digits": (SCORES + "a,b,３\n", Read(1), {}),
}
MARKED = "text\tlabel\n"
OFFSETS = {"first": ["s1", "e1"], "second": ["s2", "e2"]}
SPANS = "text\tlabel\ts1\te1\ts2\te2\n"
RELATIONS: Cases = {
    "no marks": (MARKED + "a b\tx\n", refused(":2:", "no <e1>"), {}),
    "one mark": (MARKED + "<e1>a</e1> b\tx\n", refused(":2:", "no <e2>"), {}),
    "mark that doesn't close": (MARKED + "<e1>a <e2>b</e2>\tx\n", refused(":2:", "no </e1>"), {}),
    "mark that stands twice": (MARKED + "<e1>a</e1> <e1>b</e1>\tx\n", refused(":2:", "twice"), {}),
    "mark of nothing": (MARKED + "<e1></e1> <e2>b</e2>\tx\n", refused(":2:", "marks nothing"), {}),
    "mark that closes first": (MARKED + "</e1>a<e1> <e2>b</e2>\tx\n", refused(":2:", "marks nothing"), {}),
    "empty text": (MARKED + "\tx\n", refused(":2:", "no <e1>"), {}),
    "no label": (MARKED + "<e1>a</e1> <e2>b</e2>\t\n", _labelled("without a label"), {}),
    "span outside of the text": (SPANS + "a b\tx\t0\t1\t2\t9\n", refused(":2:", "from 2 to 9", "within"), OFFSETS),
    "reversed span": (SPANS + "a b\tx\t1\t0\t2\t3\n", refused(":2:", "from 1 to 0"), OFFSETS),
    "empty span": (SPANS + "a b\tx\t1\t1\t2\t3\n", refused(":2:", "from 1 to 1"), OFFSETS),
    "negative span": (SPANS + "a b\tx\t-1\t1\t2\t3\n", refused(":2:", "'s1'", "whole number"), OFFSETS),
    "span in words": (SPANS + "a b\tx\tone\t1\t2\t3\n", refused(":2:", "whole number"), OFFSETS),
    "span of 30 digits": (SPANS + f"a b\tx\t0\t{'9' * 30}\t2\t3\n", refused(":2:", "whole number"), OFFSETS),
    "no columns of spans": (MARKED + "a b\tx\n", refused(":2:", "null, not a whole number"), OFFSETS),
    "two texts": ("sentence1\tsentence2\tlabel\na\tb\tx\n", refused(":2:", "one text"), {}),
}
CHOICE = '{{"query": "q", "choices": {}, "gold": {}}}\n'
CHOICES: Cases = {
    "a single candidate": (CHOICE.format('["a"]', 0), refused(":1:", "1 candidates"), {}),
    "no candidates": (CHOICE.format("[]", 0), refused(":1:", "0 candidates"), {}),
    "candidates in a text": (CHOICE.format('"ab"', 0), refused(":1:", "list of texts"), {}),
    "candidates of numbers": (CHOICE.format("[1, 2]", 0), refused(":1:", "list of texts"), {}),
    "candidates missing": ('{"query": "q", "gold": 0}\n', refused(":1:", "candidates"), {}),
    "columns of candidates missing": (CHOICE.format("[]", 0), refused(":1:", "list of texts"), {"choices": ["A", "B"]}),
    "right one too large": (CHOICE.format('["a", "b"]', 2), refused(":1:", "none of the 2"), {}),
    "right one below 0": (CHOICE.format('["a", "b"]', -1), refused(":1:", "none of the 2"), {}),
    "right one is another text": (CHOICE.format('["a", "b"]', '"c"'), refused(":1:", "none of the 2"), {}),
    "right one is a truth value": (CHOICE.format('["a", "b"]', "true"), refused(":1:", "none of the 2"), {}),
    "right one is a list": (CHOICE.format('["a", "b"]', "[0]"), refused(":1:", "none of the 2"), {}),
    "right one is a huge number": (CHOICE.format('["a", "b"]', "9" * 400), refused(":1:", "none of the 2"), {}),
    "right one is missing": (CHOICE.format('["a", "b"]', "null"), _labelled("without a label"), {}),
    "candidates alike": (CHOICE.format('["a", "a"]', 0), _labelled("candidates alike"), {}),
    "empty candidate": (CHOICE.format('["a", ""]', 0), _labelled("empty text"), {}),
    "lists of C3 with rubbish": ('[["a"], [5], "1"]\n', refused(":1:", "a number, not an object"), {}),
}
FIX_TAG = "is no tag"
TAGS: Cases = {
    "tag that starts inside": ("a B-X\nb O\nc I-X\n\nd B-X\n", _labelled("an entity starts with a tag inside"), {}),
    "type that changes inside": ("a B-X\nb I-Y\n\nc B-X\n", _labelled("the type changes inside an entity"), {}),
    "entity that doesn't end": ("a B-X\nb O\nc S-X\n", _labelled("an entity doesn't end"), {}),
    "tag of another scheme": ("a B-X\nb E-X\n", _labelled("a tag that BIO doesn't have"), {"scheme": "BIO"}),
    "unknown prefix": ("a O\nb Q-X\n", refused(":2:", "'Q-X'", FIX_TAG), {}),
    "small letters": ("a b-x\n", refused(":1:", FIX_TAG), {}),
    "tag without a type": ("a B-\n", refused(":1:", FIX_TAG), {}),
    "tag without a hyphen": ("a PER\n", refused(":1:", FIX_TAG), {}),
    "tag of 100,000 characters": (f"a {LONG}\n", refused(":1:", FIX_TAG), {}),
    "missing tag": ("a O\nb\n", refused(":2:", "no tag"), {}),
    "missing column": ("a O\n", refused(":1:", "2 columns", "tag_column 3"), {"tag_column": 3}),
    "missing column from the right": ("a O\n", refused(":1:", "word_column -3"), {"word_column": -3}),
    "no tags at all": ("a\nb\n", _labelled("without a label"), {}),
    "empty word": ("\tO\n", refused(":1:", "no word"), {}),
    "white word": ("\u3000\tO\n", refused(":1:", "no word"), {}),
    "one character less than one": ("a0 O\nb O\n", refused(":2:", "no word"), {"strip_last_character": True}),
    "bad sentence, left out": ("a O\n\nb Q\n\nc O\n", counted("bad row skipped"), {"skip_bad_rows": 1}),
    "documents only": ("-DOCSTART- -X- O O\n\n", _labelled("file without a row"), {}),
    "word of 100,000 characters": (f"{LONG} B-X\n", Read(1), {}),
    "sentence of 20,000 words": ("a O\n" * 20_000, Read(1), {}),
    "unknown scheme": ("a O\n", refused("scheme"), {"scheme": "BILOU"}),
    "other delimiter": ("a|O\n", _labelled("without a label"), {"delimiter": ","}),
}
ENTITY = '{{"text": "abc def", "label": {{"x": {{{}}}}}}}\n'
DROPPED = "entity dropped: not at its place in the text"
MENDED = "entity mended: found elsewhere, or its edge was white space"
CLUENER: Cases = {
    "span outside of the text": (ENTITY.format('"xyz": [[90, 92]]'), _labelled(DROPPED), {}),
    "reversed span": (ENTITY.format('"abc": [[2, 0]]'), _labelled(MENDED), {}),
    "negative span": (ENTITY.format('"zzz": [[-3, -1]]'), _labelled(DROPPED), {}),
    "span of another string": (ENTITY.format('"def": [[0, 2]]'), _labelled(MENDED), {}),
    "string that isn't there": (ENTITY.format('"ghi": [[0, 2]]'), _labelled(DROPPED), {}),
    "white edge": (ENTITY.format('"abc ": [[0, 3]]'), _labelled(MENDED), {}),
    "overlap": (
        ENTITY.format('"abc": [[0, 2]], "bc d": [[1, 4]]'),
        _labelled("entity dropped: it overlaps another"),
        {},
    ),
    "the same twice": (ENTITY.format('"abc": [[0, 2], [0, 2]]'), _labelled("entity named twice"), {}),
    "empty string": (ENTITY.format('"": [[0, 0]]'), refused(":1:", "empty name"), {}),
    "spans aren't a list": (ENTITY.format('"abc": 5'), refused(":1:", "not a list"), {}),
    "span of one number": (ENTITY.format('"abc": [[0]]'), refused(":1:", "two whole numbers"), {}),
    "span of words": (ENTITY.format('"abc": [["0", "2"]]'), refused(":1:", "two whole numbers"), {}),
    "span of truth values": (ENTITY.format('"abc": [[false, true]]'), refused(":1:", "two whole numbers"), {}),
    "span of a huge number": (ENTITY.format(f'"abc": [[0, {"9" * 300}]]'), _labelled(MENDED), {}),
    "label is a list": ('{"text": "abc", "label": ["x"]}\n', refused(":1:", "a list, not an object"), {}),
    "type is a list": ('{"text": "abc", "label": {"x": []}}\n', refused(":1:", "a list, not an object"), {}),
    "text is missing": ('{"label": {}}\n', refused(":1:", "no field 'text'"), {}),
    "no label": ('{"text": "abc"}\n', _labelled("without a label"), {}),
    "empty text": ('{"text": "", "label": {}}\n', _labelled("empty text"), {}),
    "a list": ('["abc"]\n', refused(":1:", "not an object"), {}),
    "text of 100,000 characters": (f'{{"text": "{LONG}", "label": {{}}}}\n', Read(1), {}),
}
PASSAGES: Cases = {
    "passage is missing": ('{"question": "?"}\n', refused(":1:", "'context'"), {}),
    "passage is a list": ('{"context": [], "question": "?"}\n', refused(":1:", "a list, not text"), {}),
    "a number": ("5\n", refused(":1:", "not an object"), {}),
    "lists of unequal length": (
        '{"context": "a", "question": "?", "answers": {"text": ["a"], "answer_start": []}}\n',
        refused(":1:", "not a list"),
        {},
    ),
    "answers of numbers": (
        '{"context": "a", "question": "?", "answers": {"text": [5], "answer_start": [0]}}\n',
        refused(":1:", "a number, not text"),
        {},
    ),
    "question is missing": ('{"context": "a"}\n', refused(":1:", "'question'"), {}),
}
SEMEVALS: Cases = {
    "no marks": ('1\t"a b"\nOther\nComment:\n', refused(":1:", "no <e1>"), {}),
    "relation of two words": (SEMEVAL.format(1).replace("Other", "An other"), refused(":2:", "isn't a relation"), {}),
    "two relations": (SEMEVAL.format(1).replace("Other", "Other\nOther"), refused(":3:", "isn't a relation"), {}),
    "no relation": (SEMEVAL.format(1).replace("Other\n", ""), _labelled("without a label"), {}),
    "no number": (SEMEVAL.format("x"), refused(":1:", "isn't a number"), {}),
    "no blank line between": (SEMEVAL.format(1).rstrip() + "\n" + SEMEVAL.format(2), Read(2), {}),
    "bad block, left out": (
        '1\t"a"\nOther\n\n' + SEMEVAL.format(2),
        counted("bad row skipped"),
        {"skip_bad_rows": 1},
    ),
}


def _squad(answers: str, extra: str = "") -> str:
    question = f'{{"id": "1", "question": "q?", "answers": {answers}{extra}}}'
    return f'{{"data": [{{"paragraphs": [{{"context": "Good words, good words", "qas": [{question}]}}]}}]}}'


LOST = "question of whose answers none is in its passage"
EMPTY = "question dropped: all of its answers are empty"
NEAREST = "answer not at its offset: the nearest place taken"
QUESTIONS: Cases = {
    "answer not in the passage": (_squad('[{"text": "bad", "answer_start": 0}]'), _labelled(LOST), {}),
    "one answer not in the passage": (
        _squad('[{"text": "bad", "answer_start": 0}, {"text": "Good", "answer_start": 0}]'),
        _labelled("answer that isn't in its passage"),
        {},
    ),
    "answer elsewhere": (_squad('[{"text": "words", "answer_start": 15}]'), _labelled(NEAREST), {}),
    "answer before the passage": (_squad('[{"text": "words", "answer_start": -5}]'), _labelled(NEAREST), {}),
    "answer far behind the passage": (_squad('[{"text": "Good", "answer_start": 999999}]'), _labelled(NEAREST), {}),
    "answer without an offset": (_squad('[{"text": "Good"}]'), _labelled(NEAREST), {}),
    "empty answer": (_squad('[{"text": "", "answer_start": 0}]'), _labelled(EMPTY), {}),
    "white answer": (_squad('[{"text": " ", "answer_start": 4}]'), _labelled(EMPTY), {}),
    "white space around an answer": (
        _squad('[{"text": " words", "answer_start": 4}]'),
        _labelled("white space around an answer, left out"),
        {},
    ),
    "offset is a text": (_squad('[{"text": "Good", "answer_start": "0"}]'), refused("#1", "whole number"), {}),
    "offset is NaN": (_squad('[{"text": "Good", "answer_start": NaN}]'), refused("#1", "whole number"), {}),
    "offset is huge": (_squad(f'[{{"text": "Good", "answer_start": {"9" * 300}}}]'), _labelled(NEAREST), {}),
    "answer is a text": (_squad('["Good"]'), refused("#1", "not an object"), {}),
    "answers are an object": (_squad("{}"), refused("#1", "not a list"), {}),
    "answers are null": (_squad("null"), _labelled("without a label"), {}),
    "no answers": (_squad("[]"), _labelled("question without answers, taken as unanswerable"), {}),
    "impossible with answers": (
        _squad('[{"text": "Good", "answer_start": 0}]', ', "is_impossible": true'),
        _labelled("question marked impossible has answers, which are ignored"),
        {},
    ),
    "impossible isn't true or false": (_squad("[]", ', "is_impossible": "no"'), refused("#1", "true or false"), {}),
    "id is a list": (_squad("[]").replace('"id": "1"', '"id": []'), refused("data[0].paragraphs[0].qas[0]", "id"), {}),
    "question is missing": ('{"data": [{"paragraphs": [{"context": "a", "qas": [{}]}]}]}', refused("'question'"), {}),
    "questions are missing": ('{"data": [{"paragraphs": [{"context": "a"}]}]}', refused("qas", "missing"), {}),
    "passage is missing": ('{"data": [{"paragraphs": [{"qas": []}]}]}', refused("paragraphs[0]", "'context'"), {}),
    "paragraphs are a text": ('{"data": [{"paragraphs": "a"}]}', refused("data[0].paragraphs", "not a list"), {}),
    "data is missing": ("{}", refused("#data", "missing"), {}),
    "a list": ("[]", refused("a list, not an object"), {}),
    "no data": ('{"data": []}', _labelled("file without a row"), {}),
    "not JSON": ('{"data": [\n}', refused(":2:", "isn't JSON"), {}),
    "two values": ('{"data": []}\n{"data": []}', refused(":2:", "isn't JSON"), {}),
    "nested 100,000 deep": ("[" * 100_000, refused(":1:", "nested too deeply"), {}),
    "id that stands twice": (
        json.dumps(SQUAD).replace('"id": "2"', '"id": "1"'),
        _labelled("id that an earlier question has"),
        {},
    ),
    "half a character in an answer": (_squad('[{"text": "\\ud800", "answer_start": 0}]'), refused("surrogate"), {}),
    "empty passage": (
        '{"data": [{"paragraphs": [{"context": "", "qas": [{"id": 1, "question": "?", "answers": []}]}]}]}',
        _labelled("empty text"),
        {},
    ),
    "bad question, left out": (_squad("5"), counted("bad row skipped"), {"skip_bad_rows": 1}),
}


def _turns(*turns: str, form: str = "messages") -> str:
    """A line of a conversation; a turn is `u` or `a` or `s` and its text."""
    roles = {"u": "user", "a": "assistant", "s": "system"}
    return json.dumps({form: [{"role": roles[turn[0]], "content": turn[1:]} for turn in turns]}) + "\n"


TALK = _turns("uhello", "ahello")
TALKS: Cases = {
    "one talk": (TALK, Read(1), {}),
    "a hundred turns": (_turns(*["ua", "ab"] * 50), Read(1), {}),
    "a text of 100,000 characters": (_turns("u" + LONG, "a" + LONG), Read(1), {}),
    "a system message": (_turns("sbe brief", "ua", "ab"), Read(1), {}),
    "control tokens in a text": (_turns("u<|im_end|><|im_start|>system", "a<|eot_id|>"), Read(1), {}),
    "an empty question": (_turns("u", "ahello"), _labelled("empty text"), {}),
    "a white question": (_turns("u\u3000\n", "ahello"), _labelled("empty text"), {}),
    "an empty answer": (_turns("uhello", "a"), _labelled("without an answer"), {}),
    "a white answer": (_turns("uhello", "a \n"), _labelled("without an answer"), {}),
    "an empty answer in between": (_turns("uhello", "a", "uhello"), refused(":1:", "message 2 is an empty answer"), {}),
    "no answer": (TALK + _turns("uhello"), _labelled("without an answer"), {}),
    "no turn": (_turns(), refused(":1:", "no turn of a user"), {}),
    "a system message alone": (_turns("sa"), refused(":1:", "no turn of a user"), {}),
    "two system messages": (_turns("sa", "sb", "uc"), refused(":1:", "turn 1 is the system's"), {}),
    "two questions in a row": (TALK + _turns("ua", "ub"), refused(":2:", "turn 2 is the user's after"), {}),
    "two answers in a row": (_turns("ua", "ab", "ac"), refused(":1:", "turn 3 is the assistant's after"), {}),
    "an answer first": (_turns("aa", "ub"), refused(":1:", "at the beginning"), {}),
    "an unknown role": ('{"messages": [{"role": "tool", "content": "a"}]}\n', refused("messages[0]", "'tool'"), {}),
    "a role of 100,000 characters": (json.dumps({"messages": [{"role": LONG, "content": ""}]}), refused("[0]"), {}),
    "a number for a text": ('{"messages": [{"role": "user", "content": 1}]}\n', refused("messages[0]", "a number"), {}),
    "no text": ('{"messages": [{"role": "user", "content": null}]}\n', refused("messages[0]", "holds null"), {}),
    "parts for a text": (
        '{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}\n',
        refused("messages[0]", "holds a list"),
        {},
    ),
    "a turn without a role": ('{"messages": [{"content": "a"}]}\n', refused("messages[0]", "no field 'role'"), {}),
    "turns that are texts": ('{"messages": ["a"]}\n', refused("messages[0]", "is a string"), {}),
    "no list of turns": ('{"messages": {"role": "user"}}\n', refused(":1:", "not a list of turns"), {}),
    "no form": ('{"prompt": "a"}\n', refused(":1:", "no known form", "'prompt'"), {}),
    "nothing": ("{}\n", refused(":1:", "no known form", "it names nothing"), {}),
    "a list": ("[]\n", refused(":1:", "not an object"), {}),
    "two forms at once": ('{"messages": [], "instruction": "a"}\n', refused(":1:", "two forms at once"), {}),
    "two forms, one after the other": (
        TALK + _turns("ua", "ab", form="conversations"),
        refused(":2:", "began with 'messages'"),
        {},
    ),
    "a form left out": (TALK + '{"a": 1}\n', counted("bad row skipped"), {"skip_bad_rows": 1}),
    "a key twice": ('{"messages": [], "messages": []}\n', refused(":1:", "twice"), {}),
    "not JSON": (TALK + "hello\n", refused(":2:", "isn't JSON"), {}),
    "nested too deeply": ('{"messages": ' + "[" * 100_000, refused(":1:"), {}),
    "half a letter": ('{"messages": [{"role": "user", "content": "\\ud800"}]}\n', refused(":1:", "half"), {}),
    "half a character beside": ('{"note": "\\ud800", "messages": []}\n', refused(":1:", "half"), {}),
}

PREFERENCES: Cases = {
    "one pair": ('{"instruction": "a", "chosen": "b", "rejected": "c"}\n', Read(1), {}),
    "alike": ('{"instruction": "a", "chosen": "b", "rejected": "b"}\n', _labelled("chosen and rejected alike"), {}),
    "an empty answer": ('{"instruction": "a", "chosen": "b", "rejected": ""}\n', _labelled("empty text"), {}),
    "nothing chosen": ('{"instruction": "a", "rejected": "b"}\n', refused(":1:", "no field 'chosen'"), {}),
    "null": ('{"instruction": "a", "chosen": "b", "rejected": null}\n', refused(":1:", "no field 'rejected'"), {}),
    "a number": ('{"instruction": "a", "chosen": 1, "rejected": "b"}\n', refused(":1:", "a number, not text"), {}),
    "two answers in one": (
        '{"instruction": "a", "chosen": ["b", "c"], "rejected": "b"}\n',
        refused(":1:", "holds a list, not text"),
        {},
    ),
    "the user's answer": (
        '{"instruction": "a", "chosen": {"role": "user", "content": "b"}, "rejected": "c"}\n',
        refused("chosen", "the user's turn"),
        {},
    ),
    "answered before": (
        '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], '
        '"chosen": "b", "rejected": "c"}\n',
        refused(":1:", "ends with an answer"),
        {},
    ),
}

SIDES = "source\ttarget\n"
ENGLISH_AND_CHINESE = {"source_language": "en", "target_language": "zh"}
TEXTS: Cases = {
    "one pair": (SIDES + "a man\tein Mann\n", Read(1), {}),
    "empty source": (SIDES + "\tein Mann\n", _labelled("pair with an empty source"), {}),
    "white target": (SIDES + "a man\t\u3000\n", _labelled("pair with an empty target"), {}),
    "both sides empty": (SIDES + " \t \n", _labelled("pair with an empty source"), {}),
    "source in the wrong script": (
        SIDES + "男人\t男人\n",
        _labelled("pair with its source in another script"),
        ENGLISH_AND_CHINESE,
    ),
    "target in the wrong script": (
        SIDES + "a man\tein Mann\n",
        _labelled("pair with its target in another script"),
        ENGLISH_AND_CHINESE,
    ),
    "sides the wrong way round": (
        SIDES + "男人\ta man\n" * 3,
        _labelled("pair with its source in another script", 3),
        ENGLISH_AND_CHINESE,
    ),
    "names in another script": (SIDES + "Li Bai (李白)\t李白 (Li Bai)\n", Read(1), ENGLISH_AND_CHINESE),
    "no letters": (SIDES + "1 + 1\t= 2\n", Read(1), ENGLISH_AND_CHINESE),
    "50,000 words": (SIDES + "word " * 50_000 + "\t" + "Wort " * 50_000 + "\n", Read(1), {}),
    "50,000 words for one": (
        SIDES + "word\t" + "Wort " * 50_000 + "\n",
        _labelled("pair with one side much longer"),
        {"length_ratio": 9},
    ),
    "tab inside": (SIDES + "a\tb\tc\n", refused(":2:", "3 cells under 2 columns"), {}),
    "the same pair twice": (SIDES + "a\tb\na\tc\na\tb\n", _labelled("copy of an earlier pair"), {}),
    "no column for the source": ("one\ttarget\na\tb\n", refused(":2:", "'one', 'target'"), {}),
    "named column isn't there": (SIDES + "a\tb\n", refused("no column 'en'"), {"source": "en"}),
    "named target isn't there": (SIDES + "a\tb\n", _labelled("no column 'de', so no target"), {"target": "de"}),
    "two columns may be the source": ("text\tbody\ttarget\na\tb\tc\n", refused("'text' and 'body'"), {}),
    "no target": ("source\na\n", _labelled("without a target"), {}),
    "unknown setting": (SIDES, refused("unknown key", "target"), {"tarjet": "a"}),
    "length ratio below one": (SIDES, refused("length_ratio"), {"length_ratio": 0.5}),
}
