"""Where the stack's files lie and how they are written."""

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from imago.errors import StackError
from imago.stack.layout import Layout, home_folder, project_root, read_env, read_json, write_env, write_private, writing


def test_the_project_root_is_the_nearest_folder_with_dags(tmp_path: Path) -> None:
    deep = tmp_path / "dags" / "a" / "b"
    deep.mkdir(parents=True)
    assert project_root(deep) == tmp_path


def test_the_state_folder_can_be_moved_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGO_HOME", raising=False)
    assert home_folder(tmp_path) == tmp_path / ".imago"
    monkeypatch.setenv("IMAGO_HOME", str(tmp_path / "elsewhere"))
    assert home_folder(tmp_path) == tmp_path / "elsewhere"


def test_variables_survive_writing_and_reading_whatever_they_hold(tmp_path: Path) -> None:
    variables = {"A": "plain", "B": "with 'quotes' and $dollar # hash", "C": "", "D": "a=b=c"}
    write_env(tmp_path / "x.env", variables, heading="Written by a test.")
    assert read_env(tmp_path / "x.env") == variables


def test_private_files_are_read_by_their_owner_only(tmp_path: Path) -> None:
    write_private(tmp_path / "secret", "s")
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["secret"]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EROFS, "cannot be written"),
        (errno.EACCES, "cannot be written"),
        (errno.ENOTDIR, "is not a folder"),
    ],
)
def test_a_refusal_to_write_becomes_one_sentence_with_a_next_step(number: int, said: str, tmp_path: Path) -> None:
    with pytest.raises(StackError, match=said) as caught, writing(tmp_path):
        raise OSError(number, os.strerror(number))
    assert "IMAGO_HOME" in caught.value.next_step


def test_other_system_errors_pass_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), writing(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "gone")


def test_a_nearly_full_disk_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3 * 2**20))
    with pytest.raises(StackError, match="only 3 MB left"):
        Layout(root=tmp_path / "home", project=tmp_path).prepare()


@pytest.mark.parametrize("name", ["a,b", "$x", "50%", "a[b]", "a|b", "a\nb", "x" * 256], ids=ascii)
def test_a_state_folder_that_a_server_would_misread_is_refused_before_it_is_made(tmp_path: Path, name: str) -> None:
    layout = Layout(root=tmp_path / name, project=tmp_path)
    with pytest.raises(StackError, match="the embedded stack cannot live in") as refused:
        layout.prepare()
    assert "IMAGO_HOME" in refused.value.next_step
    assert str(refused.value).isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "für", "it's", "a#b", "a?b", "key=value", "a+b"], ids=ascii)
def test_a_state_folder_of_other_odd_names_is_made(tmp_path: Path, name: str) -> None:
    layout = Layout(root=tmp_path / name, project=tmp_path)
    layout.prepare()
    assert layout.logs.is_dir()


def test_a_broken_state_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"ports": ')
    with pytest.raises(StackError, match=r"stack\.json is not valid JSON"):
        read_json(tmp_path / "stack.json")
