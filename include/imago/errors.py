"""What Imago says when it refuses.

ImagoError
├── SettingsError            a setting is missing or wrong
│   ├── LedgerUnavailable    the ledger's server does not answer now; worth another try
│   ├── StorageUnavailable   the storage does not answer now; worth another try
│   └── EnvironmentMismatch  the settings belong to another environment
├── SpecError                a model spec is not valid
├── MissingPartition         an input that a stage needs is not published
├── ClosedDay                the calendar closes this day: there is nothing to do on it
├── DamagedPartition         a stored file does not hold what was published
├── RefusedPartition         an audit or a contract turned data down; nothing was published
├── Fenced                   a newer attempt owns this partition
├── NoChampion               nobody reigns on that day
├── ChampionChanged          the verdict was made against a champion that no longer reigns
├── ReleaseBlocked           no candidate earned its place; the champion stays
├── ModelRefused             a model file is not what the ledger says, or not allowed to load
├── FitFailed                a candidate or a baseline could not be trained; the others go on
├── ShadowFailed             a version could not score in the shadow; nothing that counts was touched
├── DeliveryError            an alert could not be handed to its channel
└── StackError               the embedded stack could not start, stop or answer
"""

from __future__ import annotations

from typing import Any

from imago.texts import line

_ORDER = ("environment", "model", "table", "partition", "file", "column", "rule", "allowed", "seen", "rows", "audit")
_LONGEST_FACT = 300


class ImagoError(Exception):
    """A refusal that a person can act on.

    `message` says what is wrong in one sentence; `next_step` what to do about it; the facts say where. The same facts
    feed the exception's text, the task log, the alert and the run's summary, so that all four say the same. A fact is
    cut at 300 characters; control characters in it, in the message and in the next step are written out. `audit` is the
    address of the audit's page.

    >>> print(ImagoError("the column is missing", environment="dev", column="seats", next_step="add it to the model"))
    the column is missing [environment=dev, column=seats] Next: add it to the model
    """

    def __init__(
        self,
        message: str,
        *,
        next_step: str = "",
        environment: str | None = None,
        model: str | None = None,
        table: str | None = None,
        partition: str | None = None,
        file: str | None = None,
        column: str | None = None,
        rule: str | None = None,
        allowed: Any = None,
        seen: Any = None,
        rows: int | None = None,
        audit: str | None = None,
    ) -> None:
        given = {
            "environment": environment,
            "model": model,
            "table": table,
            "partition": partition,
            "file": file,
            "column": column,
            "rule": rule,
            "allowed": allowed,
            "seen": seen,
            "rows": rows,
            "audit": audit,
        }
        self.message = message = line(message)
        self.next_step = line(next_step)
        self.facts: dict[str, Any] = {name: shown(given[name]) for name in _ORDER if given[name] is not None}
        super().__init__(message)

    def __str__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in self.facts.items())
        where = f" [{facts}]" if facts else ""
        step = f" Next: {self.next_step}" if self.next_step else ""
        return f"{self.message}{where}{step}"

    def complete(self, **facts: Any) -> None:
        """Adds what the one who raised it could not know; what it said itself stays."""
        known = {**{name: shown(value) for name, value in facts.items() if value is not None}, **self.facts}
        self.facts = {name: known[name] for name in _ORDER if name in known}

    def summary(self) -> dict[str, Any]:
        """The message, the facts and the next step, as one flat object for a log, an XCom or a page."""
        return {"refused": self.message, **self.facts, "next_step": self.next_step}

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only arguments do not survive the default pickling, which Airflow and multiprocessing rely on.
        return _rebuild, (type(self), self.message, self.next_step, self.facts)


def shown(value: Any) -> Any:
    """A fact that comes from data may be long, or hold line breaks that would forge a line of the log."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        value = [shown(one) for one in value[:_LONGEST_FACT]]
    text = str(value)
    told = line(text, _LONGEST_FACT)
    return value if told == text and not isinstance(value, str | dict) else told


def _rebuild(kind: type[ImagoError], message: str, next_step: str, facts: dict[str, Any]) -> ImagoError:
    return kind(message, next_step=next_step, **facts)


class SettingsError(ImagoError):
    """A setting is missing or wrong."""


class EnvironmentMismatch(SettingsError):
    """The settings of this process belong to another environment."""


class LedgerUnavailable(SettingsError):
    """The ledger's server does not answer now; worth another try."""


class SpecError(ImagoError):
    """A model spec is not valid."""


class StorageUnavailable(SettingsError):
    """The storage does not answer now, or refuses the credentials; worth another try."""


class MissingPartition(ImagoError):
    """An input partition that a stage needs is not published."""


class ClosedDay(ImagoError):
    """The model's calendar closes this day: it has no partition, and there is nothing to do on it."""


class DamagedPartition(ImagoError):
    """A stored file does not hold what was published."""


class RefusedPartition(ImagoError):
    """An audit or a contract turned data down; nothing was published."""


class Fenced(ImagoError):
    """A newer attempt owns this partition; this attempt published nothing."""


class NoChampion(ImagoError):
    """Nobody reigns on the asked day."""


class ChampionChanged(ImagoError):
    """The verdict was made against a champion that no longer reigns."""


class ReleaseBlocked(ImagoError):
    """No candidate earned its place; the champion stays."""


class ModelRefused(ImagoError):
    """A model file is not what the ledger says, or may not be loaded."""


class FitFailed(ImagoError):
    """A candidate or a baseline could not be trained; the others go on."""


class ShadowFailed(ImagoError):
    """A version could not score in the shadow. Those beside it did, and nothing that counts was touched."""


class DeliveryError(ImagoError):
    """An alert could not be handed to its channel."""


class StackError(ImagoError):
    """The embedded stack could not start, stop or answer."""
