"""What a seed decides: which verbs a story knows, how it starts, and in which order a step tries the verbs.

Each step draws from randomness of its own, made of the seed and the step's number. So a story stays much the same when
the shrinker leaves steps out.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

STEPS = 26
"""Steps of a full story; about a second."""

KEPT_SHARE = 0.8
"""Share of the verbs that a story knows: stories that lack some go deeper into others."""


@dataclass(frozen=True)
class Plan:
    """A seed and the numbers of the steps that are carried out."""

    seed: int
    steps: tuple[int, ...] = tuple(range(STEPS))

    def draw(self, part: object) -> random.Random:
        """The randomness of one part of the story."""
        return random.Random(f"{self.seed}/{part}")

    def order(self, step: int, weights: Sequence[tuple[str, float]]) -> list[str]:
        """The verbs this story knows, in the order in which a step tries them: heavier ones tend to come first."""
        swarm = self.draw("swarm")
        known = [(name, weight) for name, weight in weights if swarm.random() < KEPT_SHARE or weight >= 10]
        draw = self.draw(f"{step}/order")
        return sorted((name for name, _ in known), key={n: draw.random() ** (1 / w) for n, w in known}.__getitem__)[
            ::-1
        ]
