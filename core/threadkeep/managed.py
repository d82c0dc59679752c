"""State keys whose value the engine knows and no node writes."""

from __future__ import annotations

from typing import Annotated, Protocol


class RunView(Protocol):
    """What a managed value may read of the run."""

    @property
    def step(self) -> int: ...
    @property
    def stop(self) -> int: ...


class ManagedValue:
    """Base of the marker classes that annotate a managed key."""

    @staticmethod
    def get(run: RunView) -> object:
        """The value in the current step."""
        raise NotImplementedError


class IsLastStepManager(ManagedValue):
    """True in the last superstep that the recursion limit allows."""

    @staticmethod
    def get(run: RunView) -> bool:
        return run.step == run.stop - 1


class RemainingStepsManager(ManagedValue):
    """The number of supersteps that the recursion limit still allows, this one included."""

    @staticmethod
    def get(run: RunView) -> int:
        return run.stop - run.step


IsLastStep = Annotated[bool, IsLastStepManager]
"""State key: whether this superstep is the last that the recursion limit allows."""
RemainingSteps = Annotated[int, RemainingStepsManager]
"""State key: how many supersteps the recursion limit still allows, this one included."""
