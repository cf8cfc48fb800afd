"""A file of the dbt project that is not UTF-8 is named, although dbt names none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from imago.dbt import project
from imago.errors import ImagoError


@pytest.mark.parametrize(
    "file",
    ["models/staging/stg_planes.sql", "models/staging/stg_planes.yml", "macros/days.sql", "tests/generic/keys.sql"],
)
def test_a_file_that_is_not_utf8_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str):
    folder = tmp_path / "shop_dbt"
    shutil.copytree(project.project_folder(), folder, ignore=shutil.ignore_patterns("target", "logs"))
    (folder / file).write_bytes((folder / file).read_bytes() + "\n-- # prix en \u20ac".encode("cp1252"))
    monkeypatch.setenv("IMAGO_DBT_PROJECT", str(folder))

    with pytest.raises(ImagoError, match="does not parse") as refused:
        project._parse("dev")

    assert refused.value.facts["file"] == f"shop_dbt/{file}"
    assert refused.value.next_step == f"save shop_dbt/{file} as UTF-8"
