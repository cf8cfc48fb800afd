"""Bad outcomes of the days before, which the rates among the features are made of."""

from __future__ import annotations

from collections.abc import Iterable

from proofs.gates import mutators as m
from proofs.gates.cases import LAST_WEEK, TEN_DAYS_AGO, TWO_DAYS_AGO, Case, raw_case
from proofs.gates.spoiling import bytes_of, edited, never_came


def cases() -> Iterable[Case]:
    """Files of the days before, which the features' rates are made of."""

    def case(family: str, ds: str, mutator: m.Mutator, columns: str | None, *rules: str, what: str = "") -> Case:
        return raw_case(family, f"outcomes of {ds} {what}".strip(), edited("outcomes", mutator, ds), columns, *rules)

    yield case("renamed column", TEN_DAYS_AGO, m.rename("arr_delay", "delay"), "arr_delay delay", "shape")
    yield case("empty", TWO_DAYS_AGO, m.empty, None, "empty")
    yield case("duplicated rows", LAST_WEEK, m.repeat(), "flight_key known_at", "unique")
    yield case(
        "all-null column", TWO_DAYS_AGO, m.null("arr_delay"), "arr_delay origin_late_rate_1d", "missing", "consistent"
    )
    yield case(
        "times 1000", LAST_WEEK, m.scale("arr_delay", 1000), "arr_delay route_mean_delay_28d", "range", what="arr_delay"
    )
    yield case(
        "mangled category: case",
        TWO_DAYS_AGO,
        m.text("origin", str.lower),
        "origin origin_late_rate_1d flight_key",
        "values",
        "missing",
        "consistent",
        what="origin",
    )
    yield raw_case(
        "a file that never came", f"outcomes of {TEN_DAYS_AGO}", never_came("outcomes", TEN_DAYS_AGO), None, "arrived"
    )
    yield raw_case(
        "corrupt bytes", f"outcomes of {LAST_WEEK}",
        bytes_of("outcomes", lambda data: m.flip_bit(data, 0.4), fitting=False, ds=LAST_WEEK), None, "checksum",
    )  # fmt: skip
