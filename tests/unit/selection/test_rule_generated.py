"""The champion rule against thousands of generated fights."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from imago.selection import Bar, Contestant, Difference, judge

scores = st.one_of(
    st.none(),
    st.sampled_from([math.nan, math.inf, -math.inf]),
    st.floats(0, 1),
    st.sampled_from([0.5, 0.6, 0.7, 0.7, 0.71, 0.705, 0.8]),
)
bounds = st.one_of(st.none(), st.just(math.nan), st.floats(-0.2, 0.2))
bars = st.builds(
    Bar,
    metric=st.just("metric"),
    higher_is_better=st.booleans(),
    smallest_effect=st.sampled_from([0.001, 0.01, 0.05]),
    floor=st.one_of(st.none(), st.floats(0, 1)),
    ceiling=st.one_of(st.none(), st.floats(0, 1)),
)


@st.composite
def fights(draw):
    roles = draw(st.lists(st.sampled_from(["candidate", "candidate", "baseline"]), max_size=7))
    roles += ["champion"] if draw(st.booleans()) else []
    fault = st.sampled_from([None, None, None, "it has seen the holdout"])
    found = [Contestant(f"c{place}", role, draw(scores), draw(fault)) for place, role in enumerate(roles)]
    order = draw(st.permutations(found))
    names = [one.name for one in found]
    spans = {
        (first, second): Difference(draw(bounds), draw(bounds), draw(bounds))
        for first in names
        for second in names
        if first != second and draw(st.booleans())
    }
    return list(order), spans


@settings(max_examples=1000, deadline=None)
@given(fights(), bars)
def test_whoever_is_promoted_has_earned_it(made, bar):
    contestants, spans = made
    verdict = judge(contestants, spans, bar)
    assert verdict == judge(contestants, spans, bar)
    assert len(verdict.rulings) == len(contestants)
    by_name = {one.name: one for one in contestants}
    if verdict.outcome != "promoted":
        return
    winner = by_name[verdict.challenger]
    assert winner.role == "candidate"
    assert winner.fault is None
    assert winner.score is not None
    assert math.isfinite(winner.score)
    assert not bar.below_floor(winner.score)
    baselines = [one for one in contestants if one.role == "baseline"]
    assert baselines
    assert all(one.score is not None and math.isfinite(one.score) for one in baselines)
    assert all(bar.gain(winner.score, one.score) >= bar.smallest_effect - 1e-9 for one in baselines)
    champion = next((one for one in contestants if one.role == "champion"), None)
    if champion is not None:
        assert verdict.opponent == champion.name
        assert bar.gain(winner.score, champion.score) >= bar.smallest_effect - 1e-9
    assert spans[winner.name, verdict.opponent].low > 0
    assert verdict.opponent in (champion.name if champion else None, verdict.best_baseline)
    for one in contestants:
        if one.role != "champion" and one.score is not None and math.isfinite(one.score):
            assert not bar.beyond_ceiling(one.score)
        if one.role == "candidate" and verdict.rulings[contestants.index(one)].standing == "WIN":
            assert bar.gain(winner.score, one.score) >= 0


@settings(max_examples=250, deadline=None)
@given(fights(), bars)
def test_raising_a_losing_baseline_never_helps_a_candidate(made, bar):
    contestants, spans = made
    before = judge(contestants, spans, bar)
    raised = [Contestant("best", "baseline", 0.99 if bar.higher_is_better else 0.01), *contestants]
    after = judge(raised, spans, bar)
    if before.outcome != "promoted":
        assert after.outcome != "promoted"


@settings(max_examples=250, deadline=None)
@given(fights(), bars)
def test_turning_a_metric_upside_down_turns_nothing_in_the_verdict(made, bar):
    contestants, spans = made

    def flipped(value):
        return None if value is None else -value

    mirrored = [Contestant(one.name, one.role, flipped(one.score), one.fault) for one in contestants]
    other = Bar(bar.metric, not bar.higher_is_better, bar.smallest_effect, flipped(bar.floor), flipped(bar.ceiling))
    first, second = judge(contestants, spans, bar), judge(mirrored, spans, other)
    assert (first.outcome, first.gate, first.challenger) == (second.outcome, second.gate, second.challenger)
