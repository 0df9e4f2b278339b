"""`lexloom evaluate DECODER --data FILE task.name=…`: a task that the model was not trained for, from a few examples.

Fine-tuned models of the same task may stand beside it: all are judged on the same examples, in one table.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import progress
from lexloom.base.errors import RecipeError, UserError
from lexloom.base.ledger import Ledger
from lexloom.base.recipe import check, choose
from lexloom.evaluate.embedding import PLAIN, embed
from lexloom.evaluate.fewshot import shots as choosing
from lexloom.evaluate.fewshot.figures import exactly, more_figures
from lexloom.evaluate.fewshot.predict import Questions, answer_questions, write_answers
from lexloom.evaluate.fewshot.prompts import PromptSettings, template_for
from lexloom.evaluate.fewshot.queries import ASKING, Asking, check_words
from lexloom.evaluate.tasks import judge
from lexloom.generate.reply import tokenizer_of
from lexloom.models.folder import ModelFolder, load_model
from lexloom.nn.linear import pack_for_inference
from lexloom.stages import evaluate_tasks as tasks
from lexloom.stages.evaluate import RESULTS, Results
from lexloom.stages.evaluate_tasks import Contender
from lexloom.stages.predict import PREFIX
from lexloom.stages.rows import beside, new_table
from lexloom.tasks import TASKS, Prediction, Setting, Task
from lexloom.tasks.folder import TaskModel, load_reader, load_task_model

WITHOUT_TARGET = "without a target, not asked"


@dataclass(frozen=True)
class Exam:
    """Everything that is the same for all models: the task, the examples to judge by, the questions made of them."""

    name: str
    task: Task
    asking: Asking
    setting: Setting
    examples: Sequence[Any]
    questions: Questions
    ledger: Ledger

    def with_shots(self, count: int) -> Questions:
        """The questions with the last `count` of their examples."""
        shown = [numbers[len(numbers) - count :] for numbers in self.questions.shown]
        return replace(self.questions, shown=shown)


def evaluate_few_shot(
    folders: Sequence[Path],
    data: Sequence[str],
    *,
    decoders: Collection[Path],
    changes: Mapping[str, Any],
    prompt: Mapping[str, Any],
    shots: Sequence[int] = (),
    examples: Sequence[str] = (),
    out: Path | None = None,
) -> Results:
    """Judge `decoders`, each with every number of `shots` in its prompts, and the other folders, models of the task.

    `changes` are settings of the task (its name, unless a fine-tuned model says it), `prompt` those of
    `PromptSettings`; shots are taken from the `examples`. Returns what `evaluate_tasks` does, and the prompt; every
    contender after the first is compared with it. With `out`, results.json and every contender's predictions are
    written there. Raises UserError for a task that can't be asked, for too few examples, and what reading the data
    raises.
    """
    counts = tuple(dict.fromkeys(shots)) or (0,)
    if min(counts) < 0:
        raise UserError(f"{min(counts)} examples can't be shown", where="--shots")
    tuned = {path: load_task_model(path, changes) for path in folders if path not in decoders}
    settings = check(PromptSettings, dict(prompt), where="prompt")
    exam = _exam(list(tuned.values()), data, changes, settings, most=max(counts), examples=examples)
    contenders = list[Contender]()
    for path in folders:
        if path in tuned:
            contenders.append(tasks.predicted(str(path), replace(tuned[path], task=exam.task), exam.examples))
        else:
            contenders += _contenders(path, exam, counts)
    results = tasks.results_of(exam.name, exam.task, data, exam.examples, contenders, exam.ledger, None)
    results["prompt"] = _prompt_facts(exam, counts)
    if out is not None:
        for number, one in enumerate(contenders, start=1):
            results["models"][number - 1]["predictions"] = f"predictions-{number}.jsonl"
            _write_predictions(out / f"predictions-{number}.jsonl", exam, one)
        files.write_json(out / RESULTS, results)
    return results


def describe(results: Results) -> str:
    """The results for people, and what the first question looked like."""
    prompt = results["prompt"]
    lines = [f"    {line}" for line in prompt["first"].split("\n")]
    return "\n\n".join([tasks.describe(results), "The first question was put as\n" + "\n".join(lines)])


# ---- the exam ----


def _exam(
    models: Sequence[TaskModel],
    data: Sequence[str],
    changes: Mapping[str, Any],
    prompt: PromptSettings,
    *,
    most: int,
    examples: Sequence[str],
) -> Exam:
    name, settings = _task(models, changes)
    asking: Asking = choose(ASKING, name, field="task.name")
    task, ledger = TASKS[name], Ledger()
    tests = tasks.read_examples(task, data, settings, ledger)
    known = task.read(examples, settings, Ledger()) if examples else []
    settled = task.settle(tests, settings)
    if getattr(settled, "several", False):
        raise RecipeError("several labels at once can't be asked for", where="task.several")
    labels = task.labels([*tests, *known], settled)
    check_words(prompt.words, labels)
    setting = Setting(tokenizer=None, settings=settled, labels=labels, max_tokens=0)  # type: ignore[arg-type]
    if not asking.compares:
        task, tests = exactly(task, cloze=prompt.cloze), _with_target(tests, ledger)
    queries = [asking.query(example, setting, prompt.words) for example in tests]
    pool = choosing.pool([asking.query(example, setting, prompt.words) for example in known], queries, ledger)
    kind = "cloze" if prompt.cloze else asking.kind(tests)
    questions = Questions(queries, pool, (), template_for(prompt, kind, queries), prompt)
    shown = _shown(questions, most, named=bool(examples))
    return Exam(name, task, asking, setting, tests, replace(questions, shown=shown), ledger)


def _task(models: Sequence[TaskModel], changes: Mapping[str, Any]) -> tuple[str, Any]:
    """The task's name and settings, which a fine-tuned model knows."""
    if models:
        for model in models:
            if model.name != models[0].name:
                raise UserError(f"models that do {models[0].name} and {model.name} can't be compared")
        return models[0].name, models[0].setting.settings
    settings = dict(changes)
    name = settings.pop("name", None)
    if name is None:
        fix = f"Set task.name to {', '.join(ASKING)}."
        raise RecipeError("says nothing of the task", where="task.name", fix=fix)
    choose(ASKING, name, field="task.name")
    return name, check(TASKS[name].settings, settings, where="task")


def _with_target(examples: Sequence[Any], ledger: Ledger) -> list[Any]:
    for example in examples:
        if example.target is None:
            ledger.count("labelled", WITHOUT_TARGET, where=example.where)
    return [example for example in examples if example.target is not None]


def _shown(questions: Questions, most: int, *, named: bool) -> list[list[int]]:
    if most and not named:
        raise UserError(f"{most} examples are to be shown, but none are named", fix="Name them: --examples FILE.")
    if named and not most:
        raise UserError("nothing says how many examples are to be shown", fix="Say it: --shots 4.")
    choosing.check_enough(questions.pool, most)
    settings = questions.settings
    if most == 0:
        return [[] for _ in questions.queries]
    if settings.nearest is None:
        return choosing.drawn(len(questions.queries), len(questions.pool), most, seed=settings.seed)
    encoder = load_reader(settings.nearest)
    pooling = PLAIN if encoder.pooling is None else encoder.pooling
    with progress(f"embedding with {settings.nearest}", len(questions.queries) + len(questions.pool)) as tick:
        texts = [query.text for query in (*questions.queries, *questions.pool)]
        vectors = embed(encoder.model, tokenizer_of(encoder), texts, pooling, tick=tick)
    asked = len(questions.queries)
    return choosing.nearest(vectors[:asked], vectors[asked:], most)


# ---- contenders ----


def _contenders(path: Path, exam: Exam, counts: Sequence[int]) -> list[Contender]:
    folder = load_model(path)
    pack_for_inference(folder.model)
    setting = replace(exam.setting, tokenizer=tokenizer_of(folder), max_tokens=folder.model.config.context)
    return [
        _contender(f"{path}, {count} shot{'' if count == 1 else 's'}", folder, setting, exam, count) for count in counts
    ]


def _contender(name: str, folder: ModelFolder, setting: Setting, exam: Exam, count: int) -> Contender:
    ledger, questions = Ledger(), exam.with_shots(count)
    with progress(f"asking {name}", len(questions.queries)) as tick:
        if exam.asking.compares or questions.settings.cloze:
            answered = list(answer_questions(folder, questions, ledger=ledger, tick=tick))
            predictions = [
                exam.asking.prediction(example, setting, one, questions.settings.score)
                for example, one in zip(exam.examples, answered, strict=True)
            ]
        else:
            answered = []
            predictions = [{"text": text} for text in write_answers(folder, questions, ledger=ledger, tick=tick)]
    results = judge(exam.task, exam.examples, predictions, setting)
    if answered:
        more = more_figures(exam.task, exam.asking, exam.examples, answered, setting, questions.settings.score)
        results = replace(results, figures={**results.figures, **more})
        predictions = [_with_scores(prediction, one) for prediction, one in zip(predictions, answered, strict=True)]
    notes = [f"{name}: {row['outcome']} ({row['documents']:,}×)" for row in ledger.to_json()]
    return Contender(name, predictions, setting, results, tuple(notes))


def _with_scores(prediction: Prediction, answered: Any) -> Prediction:
    return {**prediction, "scores": {name: scores_A.tolist() for name, scores_A in answered.scores.items()}}


# ---- what is written ----


def _prompt_facts(exam: Exam, counts: Sequence[int]) -> dict[str, Any]:
    questions = exam.with_shots(max(counts))
    return {
        "template": questions.template.text,
        "settings": questions.settings.model_dump(mode="json"),
        "shots": list(counts),
        "examples": len(questions.pool),
        "first": questions.prompt(0),
    }


def _write_predictions(path: Path, exam: Exam, contender: Contender) -> None:
    with new_table(str(path), Ledger()) as write:
        for example, prediction in zip(exam.examples, contender.predictions, strict=True):
            write(beside(example.row, {PREFIX + key: value for key, value in prediction.items()}))
