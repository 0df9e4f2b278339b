"""A corpus may be as horrible as it likes: it ends in counts or in a sentence, never in a traceback or in silence."""

import os
from pathlib import Path

import pytest

from lexloom.base.errors import UserError
from lexloom.base.files import to_json
from lexloom.base.ledger import Ledger
from lexloom.stages.prepare import PrepareSettings, gather, judge
from lexloom.text.spool import Spool
from tests.faults.horror import Counted, Horror, Refused
from tests.faults.horrors import horrors

NOBODY = 65534
ALL = list(horrors())


def through_the_pipeline(horror: Horror, folder: Path) -> tuple[list[str], Ledger]:
    """Everything in `prepare` before the tokenizer: the texts that are left, and the ledger."""
    settings = PrepareSettings.model_validate(
        {
            "data": {"sources": [source for source in horror.sources if source], **horror.settings},
            "duplicates": {"exact": not horror.kept_copies, "near": False},
            "workers": 1,
        }
    )
    ledger = Ledger()
    with Spool(folder / "spool") as spool:
        corpus = gather(settings, spool, ledger)
        judge(corpus, spool, settings, ledger)
        return [document.text for document in spool], ledger


@pytest.mark.parametrize("horror", ALL, ids=[ascii(horror.name)[:60] for horror in ALL])
def test_horror_ends_in_counts_or_in_a_clear_error(
    horror: Horror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    horror.make(tmp_path / "corpus")
    if isinstance(horror.ends, Refused):
        with pytest.raises(UserError) as caught:
            through_the_pipeline(horror, tmp_path)
        for word in horror.ends.words:
            assert word in str(caught.value)
        str(caught.value).encode()  # it can be shown
    else:
        texts, ledger = through_the_pipeline(horror, tmp_path)
        to_json(ledger.to_json()).encode()  # it can be saved
        assert_counted(horror.ends, texts, ledger)


def assert_counted(ends: Counted, texts: list[str], ledger: Ledger) -> None:
    for key, documents in ends.entries.items():
        assert ledger[key].documents == documents, list(ledger)
        assert ledger[key].examples, "the ledger names the place"
    if ends.texts is not None:
        assert tuple(texts) == ends.texts


def test_there_are_two_hundred_different_horrors() -> None:
    assert len({horror.name for horror in ALL}) == len(ALL) >= 200


def test_file_that_its_owner_closed_is_refused(tmp_path: Path) -> None:
    """Root may read everything, so root becomes nobody for a moment."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become another user")
    closed = Path("/tmp") / f"{tmp_path.parent.name}-{tmp_path.name}-closed.txt"
    closed.write_text("secret")
    closed.chmod(0)
    horror = Horror("closed", lambda folder: None, Refused(()), (str(closed),))
    try:
        os.seteuid(NOBODY)
        with pytest.raises(UserError, match=r"closed\.txt: can't be read: Permission denied"):
            through_the_pipeline(horror, Path("/tmp"))
    finally:
        os.seteuid(0)
        closed.unlink()
