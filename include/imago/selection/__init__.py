"""The fair fight: who may become champion, decided from values alone.

`rule.judge` is a pure function from scores, intervals and gates to a `Verdict`; `bootstrap.differences` makes the
intervals, `slices` is a gate, and `contest.decide` is all of it from the contestants' scores on one holdout; `dossier`
writes the verdict down for people. Nothing here reads a table, a clock or a network.
"""

from imago.selection.contest import decide
from imago.selection.rule import judge, out_of_order
from imago.selection.terms import Bar, Check, Contestant, Difference, Ruling, Verdict

__all__ = ["Bar", "Check", "Contestant", "Difference", "Ruling", "Verdict", "decide", "judge", "out_of_order"]
