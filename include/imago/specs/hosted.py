"""Which models this process hosts: a tuple of specs that `IMAGO_MODELS` names, else `imago_models.MODELS`.

The tuple is plain Python in a file of the user's, and each spec in it fails alone: where importing that file fails, its
statements are executed one by one (`fallback`), and what fails leaves a `BrokenSpec` in the place of its spec. The
models beside it run on; the broken one is named by `dags/broken_specs.py`, `imago doctor` and the watchdog.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from imago.errors import SpecError, shown
from imago.specs.fallback import BrokenSpec, file_of, one_by_one
from imago.specs.model import ModelSpec

VARIABLE = "IMAGO_MODELS"
DEFAULT = "imago_models:MODELS"
_ALLOWED = "MODULE:ATTRIBUTE, as my_company.models:MODELS, where the attribute is a tuple of ModelSpec"


def hosted_models(environ: Mapping[str, str] | None = None) -> tuple[ModelSpec, ...]:
    """The hosted specs that load, in order, read anew on each call. What does not load is among `broken_specs`."""
    return tuple(entry for entry in _entries(environ) if isinstance(entry, ModelSpec))


def broken_specs(environ: Mapping[str, str] | None = None) -> tuple[BrokenSpec, ...]:
    """What does not load: a spec with its file, its mistake and what to do; or the setting that names no specs."""
    return tuple(entry for entry in _entries(environ) if isinstance(entry, BrokenSpec))


def check_specs() -> None:
    """Refuses when a hosted spec does not load, naming all that do not."""
    broken = broken_specs()
    if not broken:
        return
    count = "one spec does" if len(broken) == 1 else f"{len(broken)} specs do"
    lines = "".join(f"\n  {spec.name} ({spec.where}): {spec.message}" for spec in broken)
    raise SpecError(f"{count} not load, the other models run on:{lines}\n", next_step=broken[0].next_step)


def check_setting(environ: Mapping[str, str]) -> None:
    """Refuses an `IMAGO_MODELS` that names no tuple of specs; a spec in it that does not load is no fault of it."""
    _listed(environ)


def get_model(name: str) -> ModelSpec:
    """The hosted spec called `name`; a broken one is refused with its mistake, an unknown name with those that
    exist."""
    entries = _entries(None)
    for entry in entries:
        if isinstance(entry, ModelSpec) and entry.name == name:
            return entry
    for entry in entries:
        if isinstance(entry, BrokenSpec) and entry.name in (name, VARIABLE):
            raise SpecError(
                f"the spec of {name} does not load: {entry.message}",
                model=name,
                file=entry.where,
                next_step=entry.next_step,
            )
    source = os.environ.get(VARIABLE) or DEFAULT
    loaded = [entry.name for entry in entries if isinstance(entry, ModelSpec)]
    broken = [entry for entry in entries if isinstance(entry, BrokenSpec)]
    if broken:  # a file need not be called like its model, so it may be the one that was asked for
        raise SpecError(
            f"there is no model {name!r} among the specs that load, and {len(broken)} do not: "
            + "; ".join(f"{one.name}: {one.message}" for one in broken),
            model=name,
            file=broken[0].where,
            allowed=", ".join(loaded) or "none",
            next_step=broken[0].next_step,
        )
    raise SpecError(
        f"there is no model {name!r}",
        model=name,
        allowed=", ".join(loaded) or f"none: {source} is empty",
        next_step=f"name one of them, or add the spec to {source}",
    )


_marks: dict[str, dict[str, tuple[int, int, int] | None]] = {}  # of each hosted package: its loaded files, when read
_looking = threading.Lock()


def refresh_models() -> None:
    """Forgets the imported specs when one of their files changed since the last call, and imports them: for servers,
    which outlive an edit. All loaded modules of the package that `IMAGO_MODELS` names are looked at."""
    package = (os.environ.get(VARIABLE) or DEFAULT).partition(":")[0].partition(".")[0]
    with _looking:
        marks = _marks.setdefault(package, {})
        if any(_mark(path) != mark for path, mark in marks.items()):
            for name in _modules(package):
                sys.modules.pop(name, None)
            importlib.invalidate_caches()
            marks.clear()
        _entries(None)
        for name in _modules(package):
            path = getattr(sys.modules.get(name), "__file__", None)
            if path and path not in marks:
                marks[path] = _mark(path)


def _modules(package: str) -> list[str]:
    return [name for name in list(sys.modules) if name == package or name.startswith(f"{package}.")]


def _mark(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _entries(environ: Mapping[str, str] | None) -> tuple[ModelSpec | BrokenSpec, ...]:
    try:
        return tuple(_checked(_listed(os.environ if environ is None else environ)))
    except SpecError as error:
        return (BrokenSpec(VARIABLE, error.facts.get("file", f"{VARIABLE} setting"), error.message, error.next_step),)


def _listed(environ: Mapping[str, str]) -> tuple[Any, ...]:
    """What the setting names: specs, and whatever stands there instead. Raises SpecError when it names no tuple."""
    setting = environ.get(VARIABLE) or DEFAULT
    module, colon, attribute = setting.partition(":")
    if not (colon and attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise _refusal(setting, "does not name an attribute of a module")
    try:
        found = vars(importlib.import_module(module)).get(attribute)
    except (Exception, SystemExit) as error:  # a user's module may fail in any way
        found = one_by_one(module, attribute, error)
        if isinstance(found, BrokenSpec):
            refusal = _refusal(setting, f"cannot be imported: {found.message}")
            refusal.complete(file=found.where)
            raise refusal from error
    if found is None:
        raise _refusal(setting, f"names {attribute}, which {module} does not have")
    if not isinstance(found, tuple):
        raise _refusal(setting, f"names a {type(found).__name__} that is no tuple of ModelSpec")
    return found


def _checked(listed: tuple[Any, ...]) -> Iterator[ModelSpec | BrokenSpec]:
    """The entries; what is no spec, or has the name of an earlier one, is broken."""
    specs: dict[str, ModelSpec] = {}
    for entry in listed:
        if isinstance(entry, BrokenSpec):
            yield entry
        elif not isinstance(entry, ModelSpec):
            seen = shown(f"{entry!r:.80}")
            message = f"an entry of the models is {seen}, allowed: instances of ModelSpec"
            yield BrokenSpec(type(entry).__name__, VARIABLE, message, "leave it out, then run `imago doctor`")
        elif entry.name in specs:
            first, second = file_of(specs[entry.name]), file_of(entry)
            message = f"name: {entry.name!r} is the name of two models, in {first} and in {second}; the first one runs"
            step = f"give the model of {second} a name of its own, then run `imago doctor`"
            yield BrokenSpec(f"{entry.name} (twice)", second, message, step)
        else:
            specs[entry.name] = entry
            yield entry


def _refusal(setting: str, problem: str) -> SpecError:
    return SpecError(
        f"{VARIABLE}={setting} {problem}",
        rule=VARIABLE,
        allowed=_ALLOWED,
        seen=setting,
        next_step=f"correct it (`export {VARIABLE}={DEFAULT}` hosts the models of include/imago_models), "
        "then run `imago doctor`",
    )
