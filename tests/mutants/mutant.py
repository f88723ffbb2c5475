"""A mutant: one deliberate, plausible defect, and the tests that must notice it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class DoesNotApply(Exception):
    """The snippet is not in its file as often as the mutant says: the code has moved on."""


@dataclass(frozen=True)
class Mutant:
    """A change of one file that somebody could make in good faith."""

    name: str
    """Words with hyphens: what the code then does."""
    file: str
    """From the root of the checkout."""
    before: str
    after: str
    why: str
    """What would go wrong."""
    tests: tuple[str, ...]
    """What pytest is to run: the narrowest selection that notices."""
    times: int = 1
    """How often `before` stands in the file; each is replaced."""

    def mutated(self, root: Path) -> str:
        """The file's text with the defect. Raises DoesNotApply."""
        text = (root / self.file).read_text("utf-8")
        found = text.count(self.before)
        if found != self.times:
            raise DoesNotApply(
                f"{self.name}: its snippet is {found} times in {self.file}, not {self.times}"
            )
        return text.replace(self.before, self.after)
