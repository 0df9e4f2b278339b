"""Losses that several tasks share, as sum and count, so that they add up over micro-batches.

Axes: S spots, C columns, G groups, N spots of the longest group.
"""

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from lexloom.data.batches import IGNORE
from lexloom.objectives.contract import Loss
from lexloom.tasks.contract import Weighing


def classes(scores_SC: Tensor, targets_S: Tensor, weighing: Weighing) -> Loss:
    """−log softmax(scores)[target], a target of IGNORE costs nothing.

    The weights of the labels multiply the losses and not the count: weights with mean 1 over the training targets keep
    the size of the loss.
    """
    total = functional.cross_entropy(
        scores_SC,
        targets_S,
        weight=_on(weighing.labels_C, scores_SC),
        ignore_index=IGNORE,
        reduction="sum",
        label_smoothing=weighing.smoothing,
    )
    return Loss(total, int((targets_S != IGNORE).sum()))


def yes_or_no(scores_SC: Tensor, targets_SC: Tensor, weighing: Weighing) -> Loss:
    """The binary cross entropy of every column, averaged over columns; targets are 0 or 1, NaN costs nothing."""
    known_S = ~targets_SC.isnan().any(dim=1)
    scores_SC, targets_SC = scores_SC[known_S], targets_SC[known_S]
    softened_SC = targets_SC * (1 - weighing.smoothing) + weighing.smoothing / 2
    losses_SC = functional.binary_cross_entropy_with_logits(
        scores_SC, softened_SC, weight=_on(weighing.labels_C, scores_SC), reduction="none"
    )
    return Loss(losses_SC.mean(dim=1).sum(), int(known_S.sum()))


def squares(values_S: Tensor, targets_S: Tensor) -> Loss:
    """Squared differences; a target of NaN costs nothing."""
    known_S = ~targets_S.isnan()
    return Loss((values_S[known_S] - targets_S[known_S]).square().sum(), int(known_S.sum()))


def places(scores_SC: Tensor, groups_S: Tensor, targets_GC: Tensor, weighing: Weighing) -> Loss:
    """−log softmax over the spots of each group, at the spot that is the target, averaged over columns.

    `targets_GC` are numbers of spots among all S, a row of IGNORE costs nothing.
    """
    known_G = targets_GC[:, 0] != IGNORE
    log_probs_SC = group_log_softmax(scores_SC, groups_S)
    right_GC = log_probs_SC.gather(0, targets_GC[known_G])
    if weighing.smoothing > 0:
        even_GC = group_means(log_probs_SC, groups_S)[known_G]
        right_GC = (1 - weighing.smoothing) * right_GC + weighing.smoothing * even_GC
    return Loss(-right_GC.mean(dim=1).sum(), int(known_G.sum()))


def group_means(x_SC: Tensor, groups_S: Tensor) -> Tensor:
    """The mean of each group's rows, (G, C); every group has one."""
    counts_G = torch.bincount(groups_S)
    total_GC = x_SC.new_zeros(len(counts_G), x_SC.shape[1]).index_add(0, groups_S, x_SC)
    return total_GC / counts_G[:, None]


def group_log_softmax(scores_SC: Tensor, groups_S: Tensor) -> Tensor:
    """log softmax of every column over the spots of each group, (S, C); the groups stand in order."""
    counts_G = torch.bincount(groups_S)
    scores_GNC = pad_sequence(
        list(torch.split(scores_SC, counts_G.tolist())), batch_first=True, padding_value=-torch.inf
    )
    is_spot_GN = torch.arange(scores_GNC.shape[1], device=scores_SC.device) < counts_G[:, None]
    return torch.log_softmax(scores_GNC, dim=1)[is_spot_GN]


def balanced_weights(targets: Tensor, columns: int) -> Tensor:
    """A weight for each column, inverse to how often it is the target, with mean 1 over the targets, (C).

    `targets` are columns (IGNORE left out), or rows of 0 and 1 for tasks with several labels. A label that never occurs
    weighs as the rarest one that does.
    """
    if targets.is_floating_point():
        counts_C = torch.nansum(targets.reshape(-1, columns), dim=0)
    else:
        counts_C = torch.bincount(targets[targets != IGNORE].flatten(), minlength=columns).float()
    seen_C = counts_C > 0
    if not seen_C.any():
        return torch.ones(columns)
    weights_C = counts_C.sum() / (seen_C.sum() * counts_C.clamp(min=1))
    return torch.where(seen_C, weights_C, weights_C[seen_C].max())


def _on(weights_C: Tensor | None, scores_SC: Tensor) -> Tensor | None:
    return None if weights_C is None else weights_C.to(scores_SC.device)
