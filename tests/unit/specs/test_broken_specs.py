"""A mistake in one model's file is that model's own: the others load, and the mistake is named once, with its file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imago.errors import SpecError
from imago.specs import broken_specs, check_specs, get_model, hosted_models, refresh_models
from tests.waiting import HANGS

SPEC = """
from imago.specs import Baseline, BusinessMetric, Candidate, Drift, Feature, Guardrails, ModelSpec, Schedules, Training


def build(spec, seed):
    raise NotImplementedError


{constant} = ModelSpec(
    name="{name}",
    owner="shop",
    description="Will the parcel come back?",
    entity_key="parcel",
    problem="binary",
    label="returned",
    label_delay_days=30,
    first_day="2024-01-01",
    timezone="Europe/London",
    feature_model="{name}_features",
    outcome_model="{name}_outcomes",
    features=(Feature(name="basket", kind="numeric"),),
    candidates=(Candidate(name="line", build=build, why="is a line enough?"),),
    baselines=(Baseline(name="prior", build=build, why="the mean"),),
    primary_metric="roc_auc",
    smallest_effect=0.01,
    guardrails=Guardrails(floor=0.6, ceiling=0.9),
    training=Training(window_days=60),
    drift=Drift(psi=0.2),
    business=BusinessMetric(name="pounds saved", unit="GBP", caught=5.0, false_alarm=-1.0, missed=0.0),
    schedules=Schedules(daily="0 0 * * *"),
)
"""
# What a person may type wrongly: the right text, the wrong one, and the words that the refusal has to hold.
MISTAKES = [
    ('primary_metric="roc_auc"', 'primary_metric="auc"', ("primary_metric", "'auc'", "roc_auc", "average_precision")),
    ('problem="binary"', 'problem="binry"', ("problem", "'binry'", "multiclass")),
    ('kind="numeric"', 'kind="number"', ("kind", "'number'", "categorical")),
    ('label_delay_days=30', 'label_delay_days="30"', ("label_delay_days", "'30'", "integer")),
    ('label_delay_days=30', "label_delay_days=-1", ("label_delay_days", "-1")),
    ('timezone="Europe/London"', 'timezone="Europe/Londn"', ("timezone", "'Europe/Londn'", "America/New_York")),
    ('first_day="2024-01-01"', 'first_day="2024-02-30"', ("first_day", "'2024-02-30'", "YYYY-MM-DD")),
    ('entity_key="parcel"', 'entity_key="the parcel"', ("entity_key", "'the parcel'")),
    ('owner="shop"', 'ownr="shop"', ("ownr", "did you mean owner?", "owner: Field required")),
    ("smallest_effect=0.01", "smallest_effect=0", ("smallest_effect", "0")),
    ("Guardrails(floor=0.6", "Guardrails(flor=0.6", ("flor", "did you mean floor?")),
    ("floor=0.6, ceiling=0.9", "floor=0.9, ceiling=0.6", ("guardrails", "ceiling")),
    ("window_days=60", "window_days=3", ("window_days", "3", "greater than or equal to 7")),
    ("psi=0.2", "psi=-1.0", ("psi", "-1.0")),
    ("caught=5.0", 'caught="five"', ("caught", "'five'")),
    ('daily="0 0 * * *"', 'daily="at midnight"', ("daily", "'at midnight'", "cron")),
    ('label="returned"', 'label="basket"', ("basket", "features")),
    ("features=(Feature", "slices=(\"nowhere\",),\n    features=(Feature", ("slices", "nowhere")),
    ('name="line", build=build', 'name="line", build=bild', ("NameError", "bild")),
    ("from imago.specs import", "from imago.spec import", ("ModuleNotFoundError", "imago.spec")),
    ("from imago.specs import Baseline", "from imago.specs import Basline", ("ImportError", "Basline")),
    ("def build(spec, seed):", "def build(spec, seed)", ("SyntaxError",)),
    ("    raise NotImplementedError", "  raise NotImplementedError\n      pass", ("IndentationError",)),
    ("SPEC_CONSTANT", "SHOP_RETURN", ("ImportError", "SHOP_RETURNS")),
    ("def build", "import sys\nsys.exit(3)\n\n\ndef build", ("SystemExit", "3")),
    ("def build", "1 / 0\n\n\ndef build", ("ZeroDivisionError",)),
]  # fmt: skip
_number = count()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory):
    """Writes a package of specs under a name of its own and hosts it; gives its folder."""
    patch = pytest.MonkeyPatch()

    def make(files: dict[str, str]) -> Path:
        root = tmp_path_factory.mktemp("project")
        folder = root / f"team_{next(_number)}"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text.replace("PACKAGE", folder.name), encoding="utf-8")
        patch.syspath_prepend(root)
        patch.setenv("IMAGO_MODELS", f"{folder.name}:MODELS")
        return folder

    yield make
    patch.undo()


def _spec(name: str, *, mistake: tuple[str, str, tuple[str, ...]] | None = None) -> str:
    text = SPEC.format(name=name, constant="SPEC_CONSTANT")
    if mistake is not None:
        assert mistake[0] in text
        text = text.replace(mistake[0], mistake[1])
    return text.replace("SPEC_CONSTANT", name.upper())


def _listed(*names: str) -> str:
    lines = "".join(f"from PACKAGE.{name} import {name.upper()}\n" for name in names)
    return f'"""Our models."""\n\n{lines}\nMODELS = ({", ".join(name.upper() for name in names)},)\n'


Project = Callable[[dict[str, str]], Path]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake[1][:40])
def test_a_mistake_in_one_file_leaves_the_other_models_and_is_named_with_what_is_allowed(project: Project, mistake):
    folder = project(
        {
            "__init__.py": _listed("first", "shop_returns", "last"),
            "first.py": _spec("first"),
            "shop_returns.py": _spec("shop_returns", mistake=mistake),
            "last.py": _spec("last"),
        }
    )

    assert [spec.name for spec in hosted_models()] == ["first", "last"]
    (broken,) = broken_specs()
    assert broken.name in ("shop_returns", "__init__")
    assert str(folder) in broken.where
    for words in mistake[2]:
        assert words in broken.message
    with pytest.raises(SpecError, match="one spec does not load, the other models run on") as refused:
        check_specs()
    assert broken.where in refused.value.message
    assert "imago doctor" in refused.value.next_step
    if broken.name == "shop_returns":
        with pytest.raises(SpecError, match="the spec of shop_returns does not load"):
            get_model("shop_returns")
    assert get_model("last").owner == "shop"


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from([None, *MISTAKES]), min_size=1, max_size=6))
def test_of_many_models_exactly_those_without_a_mistake_load(project: Project, drawn):
    names = [f"model_{place}" for place in range(len(drawn))]
    files = {f"{name}.py": _spec(name, mistake=mistake) for name, mistake in zip(names, drawn, strict=True)}
    project({"__init__.py": _listed(*names), **files})
    fine = [name for name, mistake in zip(names, drawn, strict=True) if mistake is None]
    assert [spec.name for spec in hosted_models()] == fine
    assert len(broken_specs()) == len(names) - len(fine)


@pytest.mark.parametrize(
    ("listing", "loads", "said"),
    [
        ("from PACKAGE.first import FIRST\nMODELS = (FIRST, NOWHERE)\n", ["first"], "NameError: name 'NOWHERE'"),
        ("from PACKAGE.first import FIRST\nMODELS = (FIRST, FIRST)\n", ["first"], "'first' is the name of two models"),
        ("from PACKAGE.first import FIRST\nMODELS = (FIRST, 'shop')\n", ["first"], "'shop', allowed: instances"),
        ("from PACKAGE.first import FIRST\nMODELS = (FIRST)\n", [], "no tuple of ModelSpec"),
        ("from PACKAGE.first import FIRST\nMODELS = (FIRST,\n", [], "SyntaxError"),
        ("from PACKAGE.first import FIRST\nMODEL = (FIRST,)\n", [], "names MODELS, which"),
        ("from PACKAGE.nowhere import X\nfrom PACKAGE.first import FIRST\nMODELS = (FIRST,)\n", ["first"], "nowhere"),
        ("from PACKAGE.first import FIRST\nimport nothing_at_all\nMODELS = (FIRST,)\n", ["first"], "nothing_at_all"),
        (
            "from PACKAGE.first import FIRST\nMODELS = (FIRST, FIRST.model_copy(update={'name': 'x'}).nowhere)\n",
            ["first"],
            "nowhere",
        ),
        ("MODELS = ()\n", [], None),
    ],
)
def test_a_mistake_in_the_list_itself_is_named_and_costs_no_more_than_it_must(project: Project, listing, loads, said):
    project({"__init__.py": listing, "first.py": _spec("first")})

    assert [spec.name for spec in hosted_models()] == loads
    if said is None:
        assert broken_specs() == ()
        check_specs()
        with pytest.raises(SpecError, match="no model 'first'"):
            get_model("first")
        return
    (broken,) = broken_specs()
    assert said in broken.message
    with pytest.raises(SpecError):
        check_specs()


def test_a_copied_spec_that_kept_its_name_is_named_with_both_files(project: Project):
    copied = _spec("first").replace("FIRST =", "SECOND =")
    folder = project({"__init__.py": _listed("first", "second"), "first.py": _spec("first"), "second.py": copied})

    assert len(hosted_models()) == 1
    (broken,) = broken_specs()
    assert f"{folder}/first.py" in broken.message
    assert broken.where == f"{folder}/second.py"


def test_a_server_sees_a_new_a_changed_and_a_removed_model_without_a_restart(project: Project):
    folder = project({"__init__.py": _listed("first"), "first.py": _spec("first")})
    refresh_models()
    (before,) = hosted_models()
    refresh_models()
    assert hosted_models()[0] is before, "what did not change is not read again"

    (folder / "second.py").write_text(_spec("second"))
    (folder / "__init__.py").write_text(_listed("first", "second").replace("PACKAGE", folder.name))
    refresh_models()
    assert [spec.name for spec in hosted_models()] == ["first", "second"]

    (folder / "second.py").write_text(_spec("second").replace('owner="shop"', 'owner="the shop of today"'))
    refresh_models()
    assert get_model("second").owner == "the shop of today"

    (folder / "second.py").write_text(_spec("second").replace('problem="binary"', 'problem="no such problem"'))
    refresh_models()
    assert [spec.name for spec in hosted_models()] == ["first"]
    assert [spec.name for spec in broken_specs()] == ["second"]

    (folder / "second.py").write_text(_spec("second").replace('owner="shop"', 'owner="the shop of tomorrow"'))
    refresh_models()
    assert get_model("second").owner == "the shop of tomorrow"

    (folder / "__init__.py").write_text(_listed("first").replace("PACKAGE", folder.name))
    refresh_models()
    assert [spec.name for spec in hosted_models()] == ["first"]


def test_a_model_of_a_broken_file_with_another_name_is_told_with_the_mistake(project: Project):
    project(
        {
            "__init__.py": _listed("first", "shop"),
            "first.py": _spec("first"),
            "shop.py": _spec("shop", mistake=MISTAKES[0]).replace('name="shop"', 'name="shop_returns"'),
        }
    )
    with pytest.raises(SpecError, match=r"no model 'shop_returns' among the specs that load.*'auc'") as refused:
        get_model("shop_returns")
    assert refused.value.facts["allowed"] == "first"
    assert "shop.py" in str(refused.value.facts["file"])


def test_doctor_names_the_mistake_and_fails(project: Project):
    project(
        {
            "__init__.py": _listed("first", "second"),
            "first.py": _spec("first"),
            "second.py": _spec("second", mistake=MISTAKES[0]),
        }
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path}; from imago.cli import app; app()", "doctor"],
        capture_output=True, text=True, timeout=HANGS,
    )  # fmt: skip
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "this process hosts first" in said
    assert "spec of second" in said
    assert "'auc'" in said
    assert "Traceback" not in done.stdout + done.stderr
