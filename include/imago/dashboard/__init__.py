"""The dashboard page: one self-contained HTML document a model, made from the ledger and the small tables only.

    html = render(env, spec)
    html = index([env], [spec])       # the list of models, as links to `{env}/{model}`

No script and no address of another host: it shows behind a login, in an iframe, and on a machine without a network.
"""

from __future__ import annotations

from collections.abc import Iterable

from imago.environments import Environment
from imago.specs import ModelSpec


def render(env: Environment, spec: ModelSpec) -> str:
    """The page of one model."""
    from imago.dashboard.facts import load
    from imago.dashboard.page import model_page

    return model_page(load(env, spec))


def index(environment_names: Iterable[str], models: Iterable[ModelSpec], *, base: str = "") -> str:
    """The list of hosted models. `base` stands before each link, e.g. `/imago/`."""
    from imago.dashboard.page import index_page

    names, specs = tuple(environment_names), tuple(models)
    return index_page([(name, spec.name, spec.description, spec.owner) for name in names for spec in specs], base=base)
