"""Storage roots with odd names work in every reader, or the settings refuse them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from imago.environments import load_environment
from imago.errors import SettingsError
from imago.stack import doctor
from proofs.strangers import roots
from proofs.strangers.case import judge

WORKS = [
    "a b", "50%", "a%zz", "a#b", "a?b", "a+b", "für", "fu\u0308r", "it's", 'q"q', "a,b", "a;b", "a&b", "a<b>", "{{x}}",
    "${HOME}", "~user", "ds=2013-01-01", "spent=9", "customer=7", "ds=x/spent=1", "a*b", "**", "日本/😀", "-rf",
    "y" * 255,
]  # fmt: skip


@pytest.fixture(scope="module")
def server(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> roots.Server:
    from proofs.postgres import new_environment

    return roots.Server(new_environment(postgres_url, tmp_path_factory.mktemp("roots")), {})


@pytest.mark.parametrize("name", WORKS, ids=ascii)
def test_a_folder_of_any_name_carries_tables_files_models_and_runs(server, tmp_path: Path, name: str) -> None:
    actual, expected = roots.carried(server, f"{tmp_path}/{name}", f"m{WORKS.index(name)}")
    assert actual == expected


def test_a_root_behind_a_link_carries_the_same(server, tmp_path: Path) -> None:
    actual, expected = roots.carried(server, f"{tmp_path}/a linkä", "linked", linked=True)
    assert actual == expected


@pytest.mark.parametrize("name", ["a b/%/ü", "spent=9/it's", "a[b]", "a?b", "a#b", "a*b", "a&b", "a%20b"], ids=ascii)
def test_a_prefix_on_s3_works_or_is_refused_by_the_settings(postgres_url, make_on_s3, name: str) -> None:
    env = make_on_s3()
    given = {"s3_endpoint": env.s3_endpoint, "s3_access_key": env.s3_access_key,
             "s3_secret_key": env.s3_secret_key.get_secret_value()}  # fmt: skip
    server, root = roots.Server(env, given), f"{env.storage_root}/{name}"
    if set(name) & set("[]?#*&") or "%20" in name:
        with pytest.raises(SettingsError, match="IMAGO_DEV_STORAGE_ROOT"):
            server.at(root)
    else:
        actual, expected = roots.carried(server, root, "m")
        assert actual == expected


def test_drawn_roots_work_or_are_refused(server, tmp_path: Path) -> None:
    draw = random.Random(7)
    outcomes = [judge(roots.drawn(server, f"{tmp_path}/{n}", False, 1000 + n, draw)) for n in range(30)]
    assert [one for one in outcomes if not one.good] == []
    assert {one.verdict for one in outcomes} == {"equal", "refused"}


@pytest.mark.parametrize("root", ["data", "./data", "~/data", "/", "//", "/a/../b", "/a//b", "s3://", "s3://b//p", "s3:///p",
                                  "/a\nb", "/a\x1b[31mb", "/\udcff", "/" + "x" * 256, "/x" * 1600,
                                  "s3://b/" + "x/" * 300,
                                  "S3://bucket/x", "s3a://bucket/x", "file:///data"], ids=ascii)  # fmt: skip
def test_a_root_that_cannot_work_is_named_by_the_settings_and_by_doctor(root: str, monkeypatch) -> None:
    monkeypatch.setenv("IMAGO_ENVIRONMENTS", "dev")
    given = {"STORAGE_ROOT": root, "LEDGER_URL": "postgresql://u:p@h/d", "MLFLOW_URI": "http://mlflow"}
    variables = {f"IMAGO_DEV_{name}": value for name, value in given.items()}
    with pytest.raises(SettingsError) as refused:
        load_environment("dev", variables)
    assert "IMAGO_DEV_STORAGE_ROOT: " in refused.value.message
    assert "allowed" in refused.value.message
    assert refused.value.message.isprintable()
    monkeypatch.setattr("os.environ", {**variables, "IMAGO_ENVIRONMENTS": "dev"})
    (finding,) = [one for one in doctor._settings([]) if one.what == "settings of dev"]
    assert (finding.level, "IMAGO_DEV_STORAGE_ROOT: " in finding.said) == ("bad", True)
