"""One fine-tuning run: what it is to do, how it is measured, and what it leaves behind."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lexloom.base import files
from lexloom.base.console import say
from lexloom.base.ledger import Ledger
from lexloom.models.folder import save_model
from lexloom.models.sentences import Pooling
from lexloom.nn.linear import use_engine
from lexloom.nn.lora import merge_low_rank
from lexloom.report.task_card import task_card
from lexloom.stages.adapting import Adapting, Data, gather, read_data
from lexloom.stages.evaluate import RESULTS
from lexloom.stages.finetune_recipe import FinetuneRecipe
from lexloom.stages.judging import Row, describe_figures, judged, lines_of, values_of
from lexloom.stages.opening import MODEL, Outcome, conduct
from lexloom.stages.session import Measured, Trained, Work
from lexloom.tasks import Encoded, Prediction
from lexloom.tasks.passes import hidden_states
from lexloom.tasks.predict import predict
from lexloom.train.loop import mean_loss

PREDICTIONS = "predictions.jsonl"
VALIDATION, TEST = "validation", "test"


def finetune_once(
    recipe: FinetuneRecipe,
    data: Data | None,
    run: Path,
    *,
    allow_change: Sequence[str] = (),
    step: int | None = None,
) -> Outcome:
    """Train on examples that were read before, or else on those that the recipe names. Raises as `finetune` does."""

    def work() -> Work:
        return _work(gather(recipe, read_data(recipe) if data is None else data, run))

    return conduct(work, run, allow_change=allow_change, step=step)


def _work(parts: Adapting) -> Work:
    return Work(
        title="finetune",
        recipe=parts.recipe,
        settings=parts.train,
        objective=parts.objective,
        units=parts.units,
        build=parts.build,
        made_with=parts.made_with,
        ledger=files.to_json(parts.data.ledger.to_json()).encode(),
        measure=(lambda model: _measured(model, parts)) if parts.data.validation else None,
        finish=lambda trained: _finish(trained, parts),
        fit=parts.fit,
    )


def _measured(model: Any, parts: Adapting) -> Measured:
    """The loss and the task's metrics; the main metric decides, or the loss where no example has a label."""
    loss = mean_loss(model, parts.plain_objective, parts.validation, parts.train)
    draft = dataclasses.replace(parts, setting=parts.task.draft(parts.setting))
    predictions = _predictions(model, draft, parts.data.validation, parts.validation.encoded)
    values = values_of(parts.task, parts.data.validation, predictions, parts.setting)
    if not values:
        return Measured({"loss": loss}, score=-loss)
    main = parts.task.judge(parts.setting)[0]
    return Measured({"loss": loss, **values}, score=-values[main.name] if main.lower_is_better else values[main.name])


def _predictions(model: Any, parts: Adapting, examples: Sequence[Any], encoded: Sequence[Encoded]) -> list[Prediction]:
    threads = parts.train.threads
    return predict(model, parts.task, examples, parts.setting, ledger=Ledger(), threads=threads, encoded=encoded)


def _finish(trained: Trained, parts: Adapting) -> None:
    """Judge the model and write its folder."""
    run, model = trained.run, trained.model
    provenance = _provenance(trained, parts)
    merge_low_rank(model)
    model.eval()
    results = _results(model, parts, run)
    files.write_json(run / RESULTS, results)
    use_engine("torch")  # the golden outputs in the folder are those of whoever loads it
    setting = parts.setting
    task = {
        "name": parts.recipe.task.name,
        "settings": setting.settings.model_dump(mode="json"),
        "labels": list(setting.labels),
        "max_tokens": setting.max_tokens,
    }
    save_model(
        run / MODEL,
        model,
        setting.tokenizer,
        provenance=provenance,
        generation=None,
        card=task_card(task, results, provenance, parts.data.ledger.to_json()),
        labels=list(setting.labels) if setting.labels else None,
        task=task,
        problem_type=_problem_type(parts),
        pooling=Pooling(mode="mean", normalise=True, max_tokens=setting.max_tokens)
        if parts.task.answer is hidden_states
        else None,
        replace=True,
    )


def _results(model: Any, parts: Adapting, run: Path) -> Row:
    """Figures of every split; the predictions for the last one go to predictions.jsonl."""
    splits: Row = {}
    splits_of = ((VALIDATION, parts.data.validation, parts.validation), (TEST, parts.data.test, parts.test))
    for name, examples, units in splits_of:
        if examples:
            predictions = _predictions(model, parts, examples, units.encoded)
            splits[name] = judged(parts.task, examples, predictions, parts.setting)
            say(describe_figures(name, splits[name]))
            lines = lines_of(parts.task, examples, predictions, parts.setting)
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            files.write_file(run / PREDICTIONS, text)
    return {"task": parts.recipe.task.name, "splits": splits}


def _problem_type(parts: Adapting) -> str | None:
    """What transformers calls it where columns are more than labels to choose from."""
    if parts.recipe.task.name == "regress":
        return "regression"
    return "multi_label_classification" if getattr(parts.setting.settings, "several", False) else None


def _provenance(trained: Trained, parts: Adapting) -> Row:
    made_with = parts.made_with
    return {
        "recipe": parts.recipe.model_dump(mode="json"),
        "began_with": {
            "folder": parts.recipe.model.folder,
            "from_nothing": parts.recipe.model.begins_anew,
            "weights": made_with["model"]["weights"],
        },
        "steps": trained.steps,
        "tokens": trained.tokens,
        "weights_of_step": trained.weights_of_step,
        "train_examples": len(parts.units),
        "train_data": made_with["data"]["train"],
        "validation_data": made_with["data"]["validation"],
        "processor": made_with["machine"]["processor"],
        "threads": made_with["machine"]["threads"],
    }
