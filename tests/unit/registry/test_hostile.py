"""Every hostile artifact of the proof, through the production loader. The proof itself shows that the baits bite."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from imago.errors import ModelRefused
from proofs.fight.bait import MODEL, honest
from proofs.fight.corpus import BAITS, HARM
from proofs.fight.hostile import produced, spoiled


def test_no_hostile_artifact_is_loaded_and_none_leaves_a_marker(dev, tmp_path):
    artifact = honest(dev)
    folder = tmp_path / "outside"
    folder.mkdir()
    shutil.copytree(Path(dev.storage_root) / MODEL, folder / "kept")
    assert len(BAITS) >= 40
    for number, case in enumerate((*BAITS, *HARM)):
        marker = folder / f"marker-{number}"
        bait = spoiled(case, dev, folder / "kept", artifact, marker)
        try:
            with pytest.raises(ModelRefused):
                produced(bait)
        except pytest.fail.Exception as error:
            raise AssertionError(f"{case.name}: {error}") from error
        assert not marker.exists(), case.name
