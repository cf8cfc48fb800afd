"""Reading a list of specs of which one does not load: what works is kept, what fails is named."""

from __future__ import annotations

import ast
import importlib.util
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imago.errors import ImagoError, shown

_FAILURES = (Exception, SystemExit)  # whatever a user's file may raise


@dataclass(frozen=True)
class BrokenSpec:
    """A spec that does not load. `name` is that of its file; `where` is the file with the line."""

    name: str
    where: str
    message: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.name} ({self.where}): {self.message} Next: {self.next_step}"


def one_by_one(module: str, attribute: str, error: BaseException) -> Any:
    """The `attribute` of a module whose import raised `error`: a tuple with a BrokenSpec for each entry that fails, or
    one BrokenSpec where there is no tuple to be had."""
    try:
        found = importlib.util.find_spec(module)
    except _FAILURES:
        found = None
    if found is None or found.origin is None:
        return _broken(error, module, Path(module))
    path = Path(found.origin)
    folder = path.parent if found.submodule_search_locations or "." in module else path
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError, OSError) as unreadable:
        return _broken(unreadable, module, path)
    made = importlib.util.module_from_spec(found)
    sys.modules[module] = made  # the modules below it ask for it
    names = made.__dict__
    failed: list[BrokenSpec] = []
    try:
        for statement in tree.body:
            failed += _execute(statement, names, path, folder)
    finally:
        sys.modules.pop(module, None)  # so that the next one who asks reads the files again
    listed = names.get(attribute)
    if not isinstance(listed, tuple):
        return failed[0] if failed else _broken(error, module, path, folder)
    return (*listed, *(broken for broken in failed if broken not in listed))  # what fails is named, listed or not


def file_of(spec: object) -> str:
    """The file that a spec was made in, as far as the loaded modules tell."""
    for _, module in sorted(sys.modules.items(), key=lambda item: -item[0].count(".")):
        path = getattr(module, "__file__", None)
        if path and any(value is spec for value in list(vars(module).values())):
            return _short(path)
    return "the list of models"


def _execute(statement: ast.stmt, names: dict[str, Any], path: Path, folder: Path) -> list[BrokenSpec]:
    """Executes one statement. One that fails binds its names to a BrokenSpec; a tuple is made entry by entry."""
    try:
        exec(compile(ast.Module([statement], []), str(path), "exec", dont_inherit=True), names)
    except _FAILURES as error:
        value, bound = getattr(statement, "value", None), _bound(statement)
        if isinstance(value, ast.Tuple) and bound:
            entries = tuple(_evaluated(entry, names, path, folder) for entry in value.elts)
            names.update(dict.fromkeys(bound, entries))
            return [entry for entry in entries if isinstance(entry, BrokenSpec)]
        broken = {name: _broken(error, name, path, folder) for name in bound}
        names.update(broken)
        return list(broken.values()) or [_broken(error, path.stem, path, folder)]
    return []


def _evaluated(entry: ast.expr, names: dict[str, Any], path: Path, folder: Path) -> Any:
    try:
        return eval(compile(ast.Expression(entry), str(path), "eval", dont_inherit=True), names)
    except _FAILURES as error:
        return _broken(error, ast.unparse(entry)[:40], path, folder)


def _bound(statement: ast.stmt) -> list[str]:
    """The names that a statement of the top level binds."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.partition(".")[0] for alias in statement.names]
    if isinstance(statement, ast.Assign):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)]
    if isinstance(statement, ast.AnnAssign | ast.AugAssign) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []


def _broken(error: BaseException, name: str, path: Path, folder: Path | None = None) -> BrokenSpec:
    """What a failed import or a refused spec says, with the file and the line of the user's that it is about."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_below(frame.filename, folder or path)]
    file, line = (frames[-1].filename, frames[-1].lineno) if frames else (str(path), None)
    if isinstance(error, SyntaxError) and error.filename:
        file, line = error.filename, error.lineno
    where = _short(file) + (f", line {line}" if line else "")
    own = name.lower() if Path(file) == path else Path(file).stem
    message = error.message if isinstance(error, ImagoError) else f"{type(error).__name__}: {error}"
    printable = " ".join(shown(line) for line in message.splitlines())
    return BrokenSpec(own, where, printable, f"correct {where}, then run `imago doctor`")


def _is_below(path: str, folder: Path) -> bool:
    return Path(path).is_relative_to(folder)


def _short(path: str) -> str:
    """A file as people write it.

    >>> _short("/srv/team/include/imago_models/shop.py")
    'include/imago_models/shop.py'
    """
    parts = Path(path).parts
    if "include" in parts:
        return "/".join(parts[len(parts) - 1 - parts[::-1].index("include") :])
    return path
