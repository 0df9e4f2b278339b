"""From raw text to a language model, on the machine you have.

    import lexloom

    model = lexloom.load("runs/poems/model")
    print(model.generate("明月", max_tokens=40))

Importing lexloom is quick; torch is imported by `load`.
"""

import os
from typing import TYPE_CHECKING, Any

# Before torch is loaded: threads that wait must sleep. Spinning, they take the core from those they wait for as soon as
# anything else runs on the machine, and an optimizer step took ten times as long (docs/LOG.md, 2026-11-22).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# oneDNN compiles each shape of a product and keeps the last 1,024; torch's layer over it does so once more. Texts have
# many lengths: memory grew by 8 MB with every step, while with 64 the lengths of short sentences drove one another out,
# which cost half of their time (docs/LOG.md, 2026-11-22). Once, and 256, is 100 MB at most.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")
os.environ.setdefault("LRU_CACHE_CAPACITY", "1")

if TYPE_CHECKING:
    from lexloom.api import Encoder, LanguageModel, Score, load

    __version__: str

__all__ = ["Encoder", "LanguageModel", "Score", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("lexloom")
    if name in __all__:
        from lexloom import api

        return getattr(api, name)
    raise AttributeError(f"module 'lexloom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
