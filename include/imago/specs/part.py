"""What every part of a spec is: frozen, strict, and refused with the field, the value and what is allowed."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from imago.errors import SpecError


class Part(BaseModel):
    """The base of a spec and its parts. An invalid value raises SpecError."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _refusal(type(self), error) from None


def _refusal(part: type[Part], error: ValidationError) -> SpecError:
    lines, kind, fields = [], part.__name__, sorted(part.model_fields)
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"]) or "the spec"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(field, fields, n=1)
            message = (
                f"{kind} has no such field, "
                + (f"did you mean {near[0]}?" if near else "")
                + (f" allowed: {', '.join(fields)}")
            )
        seen = "" if problem["type"] == "missing" else f", given {problem['input']!r:.80}"
        lines.append(f"{field}: {message}{seen}")
    return SpecError(
        f"{kind} is not valid: " + "; ".join(lines), next_step="correct the named fields in include/imago_models"
    )
