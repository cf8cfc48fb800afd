"""The fair fight: who may become champion, decided from values alone.

`rule.judge` is a pure function from scores and intervals to a `Verdict`; `bootstrap.differences` makes the
intervals; `dossier` writes the verdict down for people. Nothing here reads a table, a clock or a network.
"""

from imago.selection.rule import Bar, Contestant, Difference, Ruling, Verdict, judge, out_of_order

__all__ = ["Bar", "Contestant", "Difference", "Ruling", "Verdict", "judge", "out_of_order"]
