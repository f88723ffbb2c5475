"""The correct model has no error, each broken one has its own."""

from __future__ import annotations

import os

import pytest

from tests.model.check import VARIANTS, Variant, missing, run


@pytest.mark.skipif(
    bool(missing()) and not os.environ.get("CI"),
    reason="wants Debian's spin and gcc, which .ci/spin installs",
)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_the_model_keeps_its_promises_unless_it_is_broken(variant: Variant) -> None:
    assert not missing(), "CI must have spin and gcc: .ci/spin installs them"
    outcome = run(variant)
    assert outcome.is_as_meant(variant), outcome
