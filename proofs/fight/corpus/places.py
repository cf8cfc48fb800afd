"""Addresses, links and archives that lead out of the model's folder, with a pickle or a file at their end."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

from proofs.fight import naive
from proofs.fight.bait import Bait, zipped
from proofs.fight.corpus.cases import Case, listed

CASES: list[Case] = []
case = listed(CASES)


def _elsewhere(bait: Bait, folder: Path) -> Path:
    """A copy of the model in another folder, with a pickle in it."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bait.folder, folder)
    (folder / "model.skops").write_bytes(bait.payload)
    bait.format = "skops"
    return folder


@case("an address that climbs out by ..", naive.unpickled("model.skops"))
def _(bait: Bait) -> None:
    folder = _elsewhere(bait, bait.outside / "climbed")
    bait.facts["artifact_uri"] = f"{bait.env.storage_root}/{os.path.relpath(folder, bait.env.storage_root)}"
    bait.seal(folder)


@case("an absolute address elsewhere", naive.unpickled("model.skops"))
def _(bait: Bait) -> None:
    folder = _elsewhere(bait, bait.outside / "absolute")
    bait.facts["artifact_uri"] = str(folder)
    bait.seal(folder)


@case("an address below a folder whose name only begins like the root", naive.unpickled("model.skops"))
def _(bait: Bait) -> None:
    folder = _elsewhere(bait, Path(f"{bait.env.storage_root}-twin") / "model")
    bait.facts["artifact_uri"] = str(folder)
    bait.seal(folder)


@case("a model folder that is a symbolic link to outside", naive.unpickled("model.skops"))
def _(bait: Bait) -> None:
    folder = _elsewhere(bait, bait.outside / "linked")
    shutil.rmtree(bait.folder)
    bait.folder.symlink_to(folder)


@case("a folder above the model that is a symbolic link to outside", naive.unpickled("model.skops"))
def _(bait: Bait) -> None:
    folder = _elsewhere(bait, bait.outside / "above" / "model")
    link = Path(bait.env.storage_root) / "above"
    link.unlink(missing_ok=True)
    link.symlink_to(folder.parent)
    bait.facts["artifact_uri"] = str(link / "model")
    bait.seal(folder)


@case("a model file that is a symbolic link to outside", naive.unpickled("model.skops"))
def _(bait: Bait) -> None:
    target = _elsewhere(bait, bait.outside / "file") / "model.skops"
    (bait.folder / "model.skops").unlink()
    (bait.folder / "model.skops").symlink_to(target)


@case("a model file that is a symbolic link to another file of the storage", naive.unpickled("model.skops"))
def _(bait: Bait) -> None:
    target = Path(bait.env.storage_root) / "other.bin"
    target.write_bytes(bait.payload)
    (bait.folder / "model.skops").unlink()
    (bait.folder / "model.skops").symlink_to(target)
    bait.format = "skops"


@case("an archive member with a path that climbs out", naive.unzipped)
def _(bait: Bait) -> None:
    bait.skops(zipped({**bait.members(), os.path.relpath(bait.marker, bait.folder): b"x"}))


@case("an archive member with an absolute path", naive.unzipped)
def _(bait: Bait) -> None:
    bait.skops(zipped({**bait.members(), str(bait.marker): b"x"}))


@case("an archive member that is a symbolic link, and one that follows it", naive.unzipped)
def _(bait: Bait) -> None:
    made = io.BytesIO(bait.read("model.skops"))
    with zipfile.ZipFile(made, "a") as target:
        link = zipfile.ZipInfo("999.npy")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        target.writestr(link, str(bait.marker.parent))
        target.writestr(f"999.npy/{bait.marker.name}", b"x")
    bait.skops(made.getvalue())


def _tar(bait: Bait, members: dict[str, bytes | str]) -> None:
    """A tar as the model; text is where a link points to."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as target:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                target.addfile(info)
            else:
                info.size = len(content)
                target.addfile(info, io.BytesIO(content))
    bait.skops(made.getvalue())


@case("a tar whose member climbs out", naive.untarred)
def _(bait: Bait) -> None:
    _tar(bait, {os.path.relpath(bait.marker, bait.folder): b"x"})


@case("a tar with a symbolic link, and a member that follows it", naive.untarred)
def _(bait: Bait) -> None:
    _tar(bait, {"way": str(bait.marker.parent), f"way/{bait.marker.name}": b"x"})


@case("a ledger row whose file name climbs out", naive.of_the_ledger)
def _(bait: Bait) -> None:
    folder = _elsewhere(bait, bait.outside / "named")
    bait.facts["artifacts"][f"{os.path.relpath(folder, bait.folder)}/model.skops"] = ""
    del bait.facts["artifacts"]["model.skops"]


@case("a ledger row whose file name only looks like model.skops", naive.of_the_ledger)
def _(bait: Bait) -> None:
    bait.format = "skops"
    bait.write("model.skорs", bait.payload)  # two Cyrillic letters
    bait.facts["artifacts"]["model.skорs"] = bait.facts["artifacts"].pop("model.skops")


@case("a format that is a path", naive.by_its_format)
def _(bait: Bait) -> None:
    folder = _elsewhere(bait, bait.outside / "asked")
    bait.format = f"{os.path.relpath(folder, bait.folder)}/model.skops"


@case("the model file exchanged for a pickle, the ledger's digest as it was", naive.unpickled("model.skops"))
def _(bait: Bait) -> None:
    bait.sealed = False
    bait.skops(bait.payload)


@case("the preferred file exchanged for a pickle, the ledger's digest as it was", naive.unpickled("model.onnx"))
def _(bait: Bait) -> None:
    bait.sealed = False
    bait.write("model.onnx", bait.payload)
