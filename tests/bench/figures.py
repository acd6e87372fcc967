"""What was measured: all samples, their medians and the ratios of these."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median


class Figures:
    """Samples by contestant and measure; figures that were not measured are None."""

    def __init__(self) -> None:
        self.samples: dict[str, dict[str, list[float]]] = {}

    def add(self, whose: str, measured: Mapping[str, float]) -> None:
        """Add what one run has shown of a contestant."""
        for measure, figure in measured.items():
            self.samples.setdefault(whose, {}).setdefault(measure, []).append(figure)

    def median(self, whose: str, measure: str) -> float | None:
        """Return the median of a contestant's samples."""
        samples = self.samples.get(whose, {}).get(measure)
        return median(samples) if samples else None

    def ratio(self, measure: str, whose: str, of_whose: str) -> float | None:
        """Return the ratio of two contestants' medians."""
        above, below = self.median(whose, measure), self.median(of_whose, measure)
        return above / below if above is not None and below else None

    def medians(self) -> Mapping[str, Mapping[str, float]]:
        """Return all medians."""
        return {
            whose: {measure: median(samples) for measure, samples in measured.items()}
            for whose, measured in self.samples.items()
        }
