"""Wilson score interval of a proportion."""

from math import sqrt
from statistics import NormalDist


def wilson(successes: int, n: int, *, confidence: float) -> tuple[float, float]:
    """Score interval of a binomial proportion (Wilson 1927, "Probable inference, the law of succession").

    Unlike p +- z sqrt(p(1-p)/n) it keeps its coverage for shares near 1 and stays within [0, 1].

    successes: 0 <= successes <= n; n: at least 1; confidence: in (0, 1), e.g. 0.95.
    Returns (low, high). Raises ValueError for anything else.
    """
    if n < 1:
        raise ValueError(f"a share needs at least one trial, got n={n}")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in 0..{n}, got {successes}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 and n successes the bound is exactly 0 or 1; rounding would miss it by 1e-17.
    return (0.0 if successes == 0 else center - half, 1.0 if successes == n else center + half)
