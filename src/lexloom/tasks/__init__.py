"""Every task, by the name a recipe uses. A new one is one file and one line here."""

from lexloom.tasks.chat import CHAT
from lexloom.tasks.choice import CHOICE
from lexloom.tasks.classify import CLASSIFY
from lexloom.tasks.contract import Encoded, Piece, Prediction, Setting, Task, Weighing, fit_setting
from lexloom.tasks.preference import PREFERENCE
from lexloom.tasks.regress import REGRESS
from lexloom.tasks.relation import RELATION
from lexloom.tasks.similarity import SIMILARITY
from lexloom.tasks.span import SPAN
from lexloom.tasks.tag import TAG
from lexloom.tasks.text2text import TEXT2TEXT

TASKS: dict[str, Task] = {
    "classify": CLASSIFY,
    "regress": REGRESS,
    "tag": TAG,
    "relation": RELATION,
    "span": SPAN,
    "similarity": SIMILARITY,
    "choice": CHOICE,
    "chat": CHAT,
    "preference": PREFERENCE,
    "text2text": TEXT2TEXT,
}

__all__ = ["TASKS", "Encoded", "Piece", "Prediction", "Setting", "Task", "Weighing", "fit_setting"]
