"""How a day is scored, and what becomes of the rows that should not be there."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from imago.specs.part import Part

Policy = Literal["score", "null", "stop"]


class Scoring(Part):
    """How a day is scored.

    `engine`: `arrow` streams record batches through the model in this process; `spark` does the same on Spark.
    `parts`: into how many mapped tasks a day's partition is split; the rows are the same whatever the number.

    A row is bad when it breaks a rule of the contract that the champion was trained under (a value that is not allowed,
    a missing value where none is, a number out of range), or when the model's score for it is not finite. `bad_rows`
    says what becomes of it: `stop` refuses the day at the first one; `score` scores it all the same; `null` publishes
    it without score and decision, and with the code of its reason (`range:wind_mph`) in the column `reason`. `unseen`
    says the same of a row that keeps the contract but holds a category that the champion's training never held. A day
    is refused when more than `max_bad_rate` of its rows are bad, or unseen where these get no score.
    """

    engine: Literal["arrow", "spark"] = "arrow"
    parts: Annotated[int, Field(ge=1, le=1000)] = 1
    bad_rows: Policy = "stop"
    unseen: Policy = "score"
    max_bad_rate: Annotated[float, Field(ge=0, le=1)] = 0.05

    @property
    def gives_reasons(self) -> bool:
        """Whether the table of predictions has the column `reason`."""
        return "null" in (self.bad_rows, self.unseen)
