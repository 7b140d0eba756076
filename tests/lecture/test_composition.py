"""The seven units as formulas, as layers and in closed form; the topic's checks."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from filterlab.lecture import composition
from filterlab.lecture.context import Context

ROOT = Path(__file__).parents[2]
X = np.linspace(-4, 4, 801)


def test_formulas() -> None:
    """Against scipy, with the signs of the exponents turned round."""
    y1, y2, y4, y5 = expit(-10 - 10 * X), expit(5 + 10 * X), expit(-10 + 10 * X), expit(5 - 10 * X)
    y3, y6 = expit(-1 - y1 - y2), expit(-1 + y4 + y5)
    expected = {"y1": y1, "y2": y2, "y3": y3, "y4": y4, "y5": y5, "y6": y6, "y7": expit(-1 - 2 * y3 - y6)}
    found = composition.formulas(X)
    assert list(found) == list(expected)
    for unit, values in expected.items():
        np.testing.assert_allclose(found[unit], values, rtol=1e-12, err_msg=unit)


def test_layers_are_the_formulas() -> None:
    layered, written = composition.propagate(X), composition.formulas(X)
    assert sorted(layered) == sorted(written)
    for unit, values in written.items():
        np.testing.assert_allclose(layered[unit], values, rtol=0, atol=1e-12, err_msg=unit)


def test_a_changed_weight_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = [weights.copy() for weights in composition.WEIGHTS]
    changed[2][0, 0] = -2.001
    monkeypatch.setattr(composition, "WEIGHTS", changed)
    first = composition.structure(X, composition.formulas(X))[0]
    assert not first.passed
    assert first.value == pytest.approx(0.001 * 0.2402 * 0.1213 * 0.8787, rel=0.01)  # dy7 = dw y3 y7 (1 - y7), at y3's peak


def test_bases_and_extremes_in_closed_form() -> None:
    """Far out each pair sums to 1; midway between its two midpoints each unit of a pair is s(-2.5)."""
    gap = 2 * expit(-2.5)
    y3, y6 = (expit(-2), expit(-1 - gap)), (expit(0), expit(-1 + gap))  # base, extreme
    y = composition.formulas(np.array([-3, -0.75, 0.75, 3]))
    assert y["y3"] == pytest.approx([y3[0], y3[1], y3[0], y3[0]], abs=1e-5)
    assert y["y6"] == pytest.approx([y6[0], y6[0], y6[1], y6[0]], abs=1e-5)
    base = expit(-1 - 2 * y3[0] - y6[0])
    dip, peak = expit(-1 - 2 * y3[1] - y6[0]), expit(-1 - 2 * y3[0] - y6[1])
    assert y["y7"] == pytest.approx([base, dip, peak, base], abs=1e-5)
    assert [base, dip, peak] == pytest.approx([0.1495, 0.1213, 0.1768], abs=5e-5)


def test_no_other_unit_than_the_second_layers_and_the_last_turns() -> None:
    turns = {unit: len(np.unique(np.sign(np.diff(values[200:601])))) > 1 for unit, values in composition.formulas(X).items()}
    assert turns == {"y1": False, "y2": False, "y3": True, "y4": False, "y5": False, "y6": True, "y7": True}


def test_checks_see_a_moved_curve() -> None:
    x = np.linspace(-composition.REACH, composition.REACH, 6001)
    y = composition.formulas(x + 0.1)
    failed = [check.says for check in composition.values(x, y) if not check.passed]
    assert failed == ["y3's peak: its x", "y6's dip: its x", "y7's dip: its x", "y7's peak: its x"]


def test_topic() -> None:
    findings = composition.compose_logistic_units(Context(ROOT, quick=True, record=lambda record: None))
    assert [check.says for check in findings.checks if not check.passed] == []
    assert len(findings.checks) == 19
    assert findings.conclusion == (
        "y7 lies at 0.1495 far from 0, with a dip to 0.1213 at x = -0.75 and a peak of 0.1768 at x = 0.75."
    )
    assert [row[:3] for row in findings.tables[0].rows[4:]] == [
        ["y3", "-1", "-1, -1, 0, 0"],
        ["y6", "-1", "0, 0, 1, 1"],
        ["y7", "-1", "-2, -1"],
    ]
