"""Metrics as the field states them, each a `Metric` or a function that makes one; none needs torch."""

from lexloom.metrics.answers import answer_f1, exact_match
from lexloom.metrics.classification import accuracy, f1, matthews, precision, recall, top_accuracy
from lexloom.metrics.contract import Metric, Rows
from lexloom.metrics.correlation import mean_absolute_error, mean_squared_error, pearson, spearman
from lexloom.metrics.likelihood import (
    Likelihood,
    Preferring,
    bits_per_byte,
    chosen_log_probability,
    nats_per_token,
    preference_accuracy,
    rejected_log_probability,
    reward_margin,
)
from lexloom.metrics.multilabel import multilabel_f1, multilabel_precision, multilabel_recall, subset_accuracy
from lexloom.metrics.relations import semeval_macro_f1
from lexloom.metrics.rouge import rouge
from lexloom.metrics.tagging import entities_of, entity_f1, entity_precision, entity_recall, token_accuracy
from lexloom.metrics.texts import distinct, exact_text, repetition
from lexloom.metrics.translation import bleu, chrf

__all__ = [
    "Likelihood",
    "Metric",
    "Preferring",
    "Rows",
    "accuracy",
    "answer_f1",
    "bits_per_byte",
    "bleu",
    "chosen_log_probability",
    "chrf",
    "distinct",
    "entities_of",
    "entity_f1",
    "entity_precision",
    "entity_recall",
    "exact_match",
    "exact_text",
    "f1",
    "matthews",
    "mean_absolute_error",
    "mean_squared_error",
    "multilabel_f1",
    "multilabel_precision",
    "multilabel_recall",
    "nats_per_token",
    "pearson",
    "precision",
    "preference_accuracy",
    "recall",
    "rejected_log_probability",
    "repetition",
    "reward_margin",
    "rouge",
    "semeval_macro_f1",
    "spearman",
    "subset_accuracy",
    "token_accuracy",
    "top_accuracy",
]
