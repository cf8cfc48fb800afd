"""Bad registers of planes and airports."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from proofs.gates import mutators as m
from proofs.gates.cases import Case, raw_case
from proofs.gates.spoiling import edited, never_came


def cases() -> Iterable[Case]:
    def case(family: str, kind: str, column: str, mutator: m.Mutator, *rules: str, also: str = "") -> Case:
        return raw_case(
            family,
            f"{kind} {column}".strip(),
            edited(kind, mutator, None),
            f"{column} {also}" if column else also or None,
            *rules,
        )

    plane = "plane_maker plane_age_years plane_seats"
    yield case("renamed column", "planes", "seats", m.rename("seats", "Seats"), "shape", also="Seats")
    yield case("retyped column", "planes", "seats", m.retype("seats", pa.float64()), "type")
    yield case("missing column", "planes", "year", m.drop("year"), "shape")
    yield case("extra column", "planes", "owner", m.add("owner", "a person"), "shape")
    yield case("empty", "planes", "", m.empty, "empty", also="-")
    yield case("duplicated rows", "planes", "tailnum", m.repeat(), "unique", also="known_at")
    yield case("truncated to half of the rows", "planes", "", m.keep(0.5), "missing", "volume", also=f"- {plane}")
    yield case("all-null column", "planes", "seats", m.null("seats"), "missing", also="plane_seats")
    yield case("all-null column", "planes", "year", m.null("year"), "missing", also="plane_age_years")
    yield case("all-null column", "planes", "manufacturer", m.null("manufacturer"), "missing", also="plane_maker")
    yield case("times 1000", "planes", "seats", m.scale("seats", 1000), "range", also="plane_seats")
    yield case("times 1000", "planes", "year", m.scale("year", 1000), "range", also="plane_age_years")
    yield case("sign flip", "planes", "seats", m.flip("seats"), "range", also="plane_seats")
    yield case("sign flip", "planes", "year", m.flip("year"), "range", also="plane_age_years")
    yield case(
        "swapped columns", "planes", "year", m.swap("year", "seats"), "range", also="seats plane_age_years plane_seats"
    )
    yield case(
        "mangled category: case", "planes", "tailnum", m.text("tailnum", str.lower), "pattern", "missing", also=plane
    )
    yield case(
        "mangled category: blanks",
        "planes",
        "tailnum",
        m.text("tailnum", lambda value: f"{value} "),
        "pattern",
        "missing",
        also=plane,
    )
    yield case(
        "mangled category: case",
        "planes",
        "manufacturer",
        m.text("manufacturer", str.lower),
        "pattern",
        also="plane_maker",
    )
    yield raw_case("a file that never came", "planes", never_came("planes", None), None, "arrived")
    yield case("missing column", "airports", "tz", m.drop("tz"), "shape")
    yield case("retyped column", "airports", "tz", m.retype("tz", pa.string()), "type")
    yield case("empty", "airports", "", m.empty, "empty", also="-")
    yield case(
        "truncated to half of the rows", "airports", "", m.keep(0.5), "missing", "volume", also="- block_minutes"
    )
    yield case("all-null column", "airports", "tz", m.null("tz"), "not_null", "missing", also="block_minutes")
    yield case("times 1000", "airports", "tz", m.scale("tz", 1000), "range", also="block_minutes")
    yield case("sign flip", "airports", "tz", m.flip("tz"), "range", also="block_minutes")
    yield case("swapped columns", "airports", "tz", m.swap("tz", "alt"), "range", also="alt block_minutes")
    yield case(
        "mangled category: case",
        "airports",
        "faa",
        m.text("faa", str.lower),
        "pattern",
        "missing",
        also="block_minutes",
    )
    yield case("duplicated rows", "airports", "faa", m.repeat(7), "unique", also="known_at")
