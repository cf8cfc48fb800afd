"""Which models this process hosts: a tuple of specs that `IMAGO_MODELS` names, else `imago_models.MODELS`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping

from imago.errors import SpecError
from imago.specs.model import ModelSpec

VARIABLE = "IMAGO_MODELS"
DEFAULT = "imago_models:MODELS"
_ALLOWED = "MODULE:ATTRIBUTE, as my_company.models:MODELS, where the attribute is a tuple of ModelSpec"


def hosted_models(environ: Mapping[str, str] | None = None) -> tuple[ModelSpec, ...]:
    """The hosted specs, in order, read anew on each call.

    `IMAGO_MODELS` is `MODULE:ATTRIBUTE`; the module has to be on the Python path. Raises SpecError when it cannot be
    imported, holds no such attribute, or the attribute is anything else than a tuple of specs with distinct names.
    """
    setting = (os.environ if environ is None else environ).get(VARIABLE) or DEFAULT
    module, colon, attribute = setting.partition(":")
    if not (colon and attribute.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise _refusal(setting, "does not name an attribute of a module")
    try:
        found = importlib.import_module(module)
    except SpecError:
        raise  # which says itself what to correct
    except Exception as error:  # a user's module may fail in any way
        raise _refusal(setting, f"cannot be imported: {type(error).__name__}: {error}") from error
    models = getattr(found, attribute, None)
    if models is None:
        raise _refusal(setting, f"names {attribute}, which {module} does not have")
    if not isinstance(models, tuple) or not all(isinstance(spec, ModelSpec) for spec in models):
        raise _refusal(setting, f"names a {type(models).__name__} that is no tuple of ModelSpec")
    if not models:
        raise _refusal(setting, "names an empty tuple: nothing would run")
    names = [spec.name for spec in models]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _refusal(setting, f"holds two models called {twice[0]}")
    return models


def get_model(name: str) -> ModelSpec:
    """The hosted spec called `name`; an unknown name is refused with those that exist."""
    models = hosted_models()
    for spec in models:
        if spec.name == name:
            return spec
    raise SpecError(
        f"there is no model {name!r}",
        model=name,
        allowed=", ".join(spec.name for spec in models),
        next_step=f"name one of them, or add the spec to {os.environ.get(VARIABLE) or DEFAULT}",
    )


def _refusal(setting: str, problem: str) -> SpecError:
    return SpecError(
        f"{VARIABLE}={setting} {problem}",
        rule=VARIABLE,
        allowed=_ALLOWED,
        seen=setting,
        next_step=f"correct it (`export {VARIABLE}={DEFAULT}` hosts the models of include/imago_models), "
        "then run `imago doctor`",
    )
