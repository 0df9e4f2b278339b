"""Word vectors of Lexloom beside gensim's, on the English running text of published data sets joined into one corpus.

python benchmarks/vectors.py text DATA WORK [EVERY]  joins the text, or every so manieth document: WORK/text.txt
python benchmarks/vectors.py learn WORK NAME KEY=…   `lexloom prepare` (once) and `pretrain` into WORK/NAME
python benchmarks/vectors.py gensim WORK NAME        gensim alone, from text: the same words, the settings of WORK/NAME
python benchmarks/vectors.py judge DATA WORK NAME…   WS-353, MEN, SimLex-999 and Google's analogies

DATA holds the folders named below; in WORK/text.txt a document is a line. Words per second are the corpus' words ·
epochs / seconds, those of the processor (all threads together) and those on the clock, which say something where
nothing else runs. Both sides begin with words in memory or in shards, and count them before they learn.
"""

import argparse
import csv
import gzip
import io
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from lexloom.models.folder import load_model
from lexloom.models.word2vec import EPOCHS
from lexloom.stages.exchange import import_file
from lexloom.stages.words import describe_words, evaluate_words

LISTS = (
    "wordsim-en/EN-WS-353-ALL.txt",
    "wordsim-en/EN-MEN-TR-3k.txt",
    "wordsim-en/EN-SIMLEX-999.txt",
    "analogy-google-en/questions-words.txt.gz",
)
RECIPE = """
objective = "neighbours"

[prepare]
workers = 1

[prepare.data]
sources = ["{text}"]
documents = "line"

[prepare.tokenizer]
kind = "words"
lowercase = true
vocab_size = 60000

[prepare.split]
validation_share = 0.001

[model]
family = "word2vec"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("text", "learn", "gensim", "judge"))
    parser.add_argument("words", nargs="+")
    options = parser.parse_args()
    steps: dict[str, Callable[..., None]] = {"text": text, "learn": learn, "gensim": gensim, "judge": judge}
    steps[options.what](*options.words)


def text(data: str, work: str, every: str = "1") -> None:
    Path(work).mkdir(parents=True, exist_ok=True)
    with open(f"{work}/text.txt", "w", encoding="utf-8") as file:
        for name, texts in SOURCES.items():
            before = file.tell()
            documents = (" ".join(one.split()) for one in texts(opened(Path(data) / name)) if one.strip())
            file.writelines(f"{one}\n" for one in islice(documents, 0, None, int(every)))
            print(f"{name:50} {(file.tell() - before) / 1e6:6.1f} MB")


def learn(work: str, name: str, *settings: str) -> None:
    recipe, prepared = Path(work) / "recipe.toml", Path(work) / "prepared"
    recipe.write_text(RECIPE.format(text=f"{work}/text.txt"))
    if not prepared.exists():
        run_timed([*LEXLOOM, "prepare", str(recipe), "--out", str(prepared)])
    command = [*LEXLOOM, "pretrain", str(recipe), "--data", str(prepared), "--out", f"{work}/{name}"]
    run_timed([*command, *settings])
    fit = json.loads((Path(work) / name / "metrics.jsonl").read_text().splitlines()[0])
    epochs = load_model(Path(work) / name / "model").facts["provenance"]["recipe"]["train"]["epochs"] or EPOCHS
    print(f"learning alone: {epochs * fit['tokens_per_s']:,.0f} words per second on the clock, {fit['seconds']:.0f} s")
    subprocess.run([*LEXLOOM, "export", f"{work}/{name}/model", f"{work}/{name}.bin"], check=True)


def gensim(work: str, name: str) -> None:
    """What a user of gensim would write: its own counts, its own sentences, read from the text."""
    from gensim.models import Word2Vec

    model = load_model(Path(work) / name / "model")
    config, train = model.model.config, model.facts["provenance"]["recipe"]["train"]
    word = re.compile(r"(?:(?!_)\w|_)+|[^\s\w]")

    class Lines:
        def __iter__(self) -> Iterator[list[str]]:
            with open(f"{work}/text.txt", encoding="utf-8") as file:
                for line in file:
                    yield word.findall(line.lower())

    sentences = list(Lines())
    before, started = seconds(), time.monotonic()
    found = Word2Vec(
        sentences,
        vector_size=config.width,
        window=config.window,
        sg=int(config.algorithm == "skipgram"),
        negative=config.negative,
        hs=int(config.hierarchical),
        sample=config.subsample,
        min_count=config.least_count,
        alpha=config.alpha,
        workers=config.workers,
        max_final_vocab=config.vocab_size,
        epochs=round(train["epochs"] or EPOCHS),
        seed=2,
    )
    for spent, which in ((seconds() - before, "of the processor"), (time.monotonic() - started, "on the clock")):
        rate = found.corpus_total_words * found.epochs / spent
        print(f"gensim: {rate:,.0f} words per second {which}, {spent:.0f} s")
    found.wv.save_word2vec_format(f"{work}/gensim-{name}.bin", binary=True)
    import_file(Path(f"{work}/gensim-{name}.bin"), Path(work) / f"gensim-{name}" / "model")


def judge(data: str, work: str, *names: str) -> None:
    folders = [Path(work) / name / "model" for name in names]
    print(describe_words(evaluate_words(folders, [f"{data}/{name}" for name in LISTS])))


LEXLOOM = [str(Path(sys.executable).with_name("lexloom"))]


def run_timed(command: list[str]) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(command, check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{command[1]}: {used.ru_utime - before:.0f} s of the processor, {used.ru_maxrss / 1e3:.0f} MB")


def seconds() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


# ---- the text ----


def opened(path: Path) -> io.TextIOBase:
    return io.TextIOWrapper(gzip.open(path) if path.suffix == ".gz" else open(path, "rb"), encoding="utf-8", newline="")


def json_lines(*fields: str) -> Callable[[io.TextIOBase], Iterator[str]]:
    def texts(file: io.TextIOBase) -> Iterator[str]:
        for line in file:
            row = json.loads(line)
            yield " ".join(str(row[field]) for field in fields).replace("<br />", " ")

    return texts


def squad(file: io.TextIOBase) -> Iterator[str]:
    for article in json.load(file)["data"]:
        for paragraph in article["paragraphs"]:
            yield " ".join([paragraph["context"], *(question["question"] for question in paragraph["qas"])])


def wiki(file: io.TextIOBase) -> Iterator[str]:
    return (line.replace(" @-@ ", "-").replace("<unk>", " ") for line in file)


def news(file: io.TextIOBase) -> Iterator[str]:
    return (" ".join(row[1:]) for row in csv.reader(file))


def stories(file: io.TextIOBase) -> Iterator[str]:
    return iter(file.read().split("<|endoftext|>"))


def lines(file: io.TextIOBase) -> Iterator[str]:
    return iter(file)


SOURCES: dict[str, Callable[[io.TextIOBase], Iterator[str]]] = {
    "cls-imdb/train.jsonl.gz": json_lines("text"),
    "cls-imdb/test.jsonl.gz": json_lines("text"),
    "sum-aeslc/train.jsonl.gz": json_lines("subject", "body"),
    "sum-aeslc/dev.jsonl.gz": json_lines("subject", "body"),
    "sum-aeslc/test.jsonl.gz": json_lines("subject", "body"),
    "mrc-squad/dev-v1.1.reconstructed.json.gz": squad,
    "mrc-squad/dev-v2.0.reconstructed.json.gz": squad,
    "lm-wikitext2/valid.txt.gz": wiki,
    "lm-wikitext2/test.txt.gz": wiki,
    "lm-tinystories/tinystories_sample.txt.gz": stories,
    "lm-lambada/lambada_openai.jsonl.gz": json_lines("context"),
    "mrc-boolq/boolq.jsonl.gz": json_lines("query"),
    "cls-agnews/test.csv.gz": news,
    "mt-multi30k-ende/train.en.gz": lines,
}

if __name__ == "__main__":
    main()
