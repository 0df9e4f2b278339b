"""TensorBoard events, an optional second copy of the numbers in metrics.jsonl."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lexloom.base.errors import UserError

FOLDER = "tensorboard"


class Events:
    """Writes each number of a metrics line as a scalar named `kind/field`."""

    def __init__(self, run: Path, first_step: int) -> None:
        """Raises UserError naming the extra if TensorBoard is not installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError(
                "TensorBoard is not installed", where="train.tensorboard", fix="pip install 'lexloom[tensorboard]'"
            ) from None
        # Events after `purge_step` are those of a killed run; TensorBoard then hides them.
        self._writer: Any = SummaryWriter(str(run / FOLDER), purge_step=first_step)

    def write(self, line: Mapping[str, Any]) -> None:
        """Add the numbers of one line of metrics.jsonl."""
        for field, value in line.items():
            if field != "step" and isinstance(value, int | float):
                self._writer.add_scalar(f"{line['kind']}/{field}", value, line["step"])

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()
