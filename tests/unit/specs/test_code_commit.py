"""The commit in a partition's provenance names the code that made it, also where that code was never committed."""

from __future__ import annotations

import subprocess

import pytest

from imago.context import commit_of


@pytest.fixture
def tree(tmp_path):
    """A repository with one commit and a package in a folder of it."""
    package = tmp_path / "include" / "package"
    package.mkdir(parents=True)
    (package / "module.py").write_text("x = 1\n")
    (tmp_path / ".gitignore").write_text("*.log\n")
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    return tmp_path


def git(folder, *words: str) -> str:
    own = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *own, *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def commit(folder) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "c")


def test_a_clean_tree_is_its_commit_from_any_folder_of_it(tree):
    head = git(tree, "rev-parse", "HEAD")
    (tree / "a.log").write_text("ignored")
    assert commit_of(tree / "include" / "package") == commit_of(tree) == head


@pytest.mark.parametrize("change", ["edited", "added", "removed", "staged", "renamed", "binary"])
def test_a_tree_that_differs_is_named_as_such_and_by_its_difference(tree, change):
    head, module = git(tree, "rev-parse", "HEAD"), tree / "include" / "package" / "module.py"
    if change == "edited":
        module.write_text("x = 2\n")
    elif change == "added":
        (tree / "new ü.py").write_text("y = 1\n")
    elif change == "removed":
        module.unlink()
    elif change == "staged":
        module.write_text("x = 2\n")
        git(tree, "add", "-A")
    elif change == "renamed":
        module.rename(module.with_name("other.py"))
    else:
        (tree / "model.bin").write_bytes(bytes(range(256)))
    first = commit_of(tree)
    assert first.startswith(f"{head}-dirty.")
    assert commit_of(tree / "include") == first
    (tree / "further.py").write_text("z = 1\n")
    second = commit_of(tree)
    assert second.startswith(f"{head}-dirty.")
    assert second != first
    commit(tree)
    assert "dirty" not in commit_of(tree)


def test_a_folder_without_git_says_that_it_does_not_know(tmp_path):
    assert commit_of(tmp_path) == "unknown"
