"""Which models a process hosts is one setting, read anew each time, and refused by name when it names no specs."""

from __future__ import annotations

import sys
import types
import uuid

import pytest

from imago.environments import hosted_environments
from imago.errors import SpecError
from imago.specs import broken_specs, get_model, hosted_models
from imago.specs.hosted import check_setting
from imago.stack.doctor import _models
from imago.stack.layout import Layout
from imago.stack.settings import given_settings
from imago_models import FLIGHT_DELAYS, MODELS

OTHER = FLIGHT_DELAYS.model_copy(update={"name": "other_model"})


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    """A module of its own on the Python path, with the given attributes; its name."""

    def make(**attributes: object) -> str:
        name = f"hosted_{uuid.uuid4().hex[:8]}"
        made = types.ModuleType(name)
        made.__dict__.update(attributes)
        monkeypatch.setitem(sys.modules, name, made)
        return name

    return make


def test_the_models_of_the_project_are_hosted_unless_the_setting_names_others(module, monkeypatch):
    assert hosted_models({}) == MODELS == hosted_models({"IMAGO_MODELS": ""})

    monkeypatch.setenv("IMAGO_MODELS", f"{module(TEAM=(OTHER,))}:TEAM")

    assert hosted_models() == (OTHER,)
    assert get_model("other_model") is OTHER
    assert [finding.said for finding in _models()] == ["this process hosts other_model"]
    with pytest.raises(SpecError, match="no model 'flight_delays'") as refused:
        get_model("flight_delays")
    assert refused.value.facts["allowed"] == "other_model"


def test_a_setting_that_names_no_specs_is_refused_with_what_it_names(module, monkeypatch, tmp_path):
    name = module(LIST=[OTHER], TEXT="flight_delays", NONE=None)
    (tmp_path / "broken_models.py").write_text("import nowhere_to_be_found\n")
    (tmp_path / "half_models.py").write_text("MODELS = (\n")
    monkeypatch.syspath_prepend(tmp_path)
    cases = {
        "imago_models": "does not name an attribute",
        "imago_models:": "does not name an attribute",
        ":MODELS": "does not name an attribute",
        "imago_models:MODELS[0]": "does not name an attribute",
        "../imago_models:MODELS": "does not name an attribute",
        "imago_models:MODELLS": "names MODELLS, which imago_models does not have",
        "nowhere.models:MODELS": "No module named 'nowhere'",
        "broken_models:MODELS": "No module named 'nowhere_to_be_found'",
        "half_models:MODELS": "SyntaxError",
        f"{name}:LIST": "names a list that is no tuple of ModelSpec",
        f"{name}:TEXT": "names a str that is no tuple",
        f"{name}:NONE": "does not have",
    }
    for setting, said in cases.items():
        with pytest.raises(SpecError) as refused:
            check_setting({"IMAGO_MODELS": setting})
        assert setting in refused.value.message
        assert said in refused.value.message
        assert "export IMAGO_MODELS=imago_models:MODELS" in refused.value.next_step
        monkeypatch.setenv("IMAGO_MODELS", setting)
        assert hosted_models() == ()
        (broken,) = broken_specs()
        assert (broken.name, broken.message) == ("IMAGO_MODELS", refused.value.message)
        (finding,) = _models()
        assert (finding.level, finding.said) == ("bad", f"{broken.where}: {broken.message}")


def test_the_stack_takes_the_setting_and_remembers_it_and_refuses_a_wrong_one(module, tmp_path):
    layout = Layout(root=tmp_path, project=tmp_path)
    setting = f"{module(MODELS=(OTHER,))}:MODELS"

    given = given_settings(layout, {"IMAGO_MODELS": setting, "IMAGO_DBT_PROJECT": "/a/project"})

    assert given == {"IMAGO_MODELS": setting, "IMAGO_DBT_PROJECT": "/a/project"}
    assert hosted_environments(given)
    with pytest.raises(SpecError, match="IMAGO_MODELS=nowhere:MODELS cannot be imported"):
        given_settings(layout, {"IMAGO_MODELS": "nowhere:MODELS"})
