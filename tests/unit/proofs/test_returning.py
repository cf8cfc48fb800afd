"""Customers who come back every day: a few of the proof's fights."""

from __future__ import annotations

import numpy as np

from proofs.fight import returning


def test_luck_rarely_promotes_among_customers_who_come_back():
    verdicts = [returning.fought(returning.drawn(np.random.default_rng([1, place])), 1) for place in range(8)]
    assert sum(verdict.outcome == "promoted" for verdict in verdicts) <= 1
    assert {verdict.drawn for verdict in verdicts} == {"400 customers and blocks of 4 days"}
