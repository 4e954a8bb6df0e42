"""Adam (Kingma and Ba, 2015) with SASRec's betas, and its state for a checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor

BETAS = (0.9, 0.98)


class Adam:
    """The optimiser of a training.

    torch's own imports its compiler at the first step: 3 CPU seconds, as much as a small epoch.
    """

    def __init__(self, parameters: list[Tensor], learning_rate: float) -> None:
        """Start both moments at 0."""
        self._parameters = parameters
        self._learning_rate = learning_rate
        self._means = [torch.zeros_like(parameter) for parameter in parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in parameters]
        self._steps = 0

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter against its gradient and forget the gradients."""
        self._steps += 1
        gradients = [parameter.grad for parameter in self._parameters]
        torch._foreach_lerp_(self._means, gradients, 1 - BETAS[0])
        torch._foreach_mul_(self._squares, BETAS[1])
        torch._foreach_addcmul_(self._squares, gradients, gradients, 1 - BETAS[1])
        scales = torch._foreach_div(self._squares, 1 - BETAS[1] ** self._steps)
        torch._foreach_sqrt_(scales)
        torch._foreach_add_(scales, 1e-8)
        step = -self._learning_rate / (1 - BETAS[0] ** self._steps)
        torch._foreach_addcdiv_(self._parameters, self._means, scales, step)
        for parameter in self._parameters:
            parameter.grad = None

    def state(self) -> list[Tensor]:
        """Return both moments of every parameter and the steps taken."""
        return [*self._means, *self._squares, torch.tensor(self._steps)]

    @torch.no_grad()
    def restore(self, state: list[Tensor]) -> None:
        """Go on from what `state` returned."""
        for mine, told in zip((*self._means, *self._squares), state, strict=False):
            mine.copy_(told)
        self._steps = int(state[-1])
