"""Mutants: solutions with one thing changed. A check that accepts one accepts a wrong answer, unless the mutant is right, too.

Tried are the exercises whose judge needs no stack: their answers say what `observe` would return.
"""

import ast
import difflib
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fraudlab.course import notebooks
from fraudlab.course.answers import Answers
from fraudlab.course.exercise import AnswerFailed, Exercise, Kind, NotSolvedYet
from fraudlab.course.notebooks import BEGIN, END, Cell, Notebook

Change = Callable[[], object]
"""Changes a copy of the solution."""

_COMPARISONS: Mapping[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is, ast.NotEq),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: Mapping[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.FloorDiv,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_NARROWER = {"Decimal": "float", "max": "min", "min": "max", "set": "list", "str": "repr", "sum": "max", "float": "int"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A solution with one thing changed. `written` is what stands in the changed lines now, in one line."""

    written: str
    source: str


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant that a check did not call wrong."""

    number: str
    written: str
    said: str


def mutants_of(source: str) -> list[Mutant]:
    """Each way to change one thing between the marks of an exercise's cell."""
    lines = source.splitlines()
    begins = [place for place, line in enumerate(lines, 1) if BEGIN in line]
    ends = [place for place, line in enumerate(lines, 1) if END in line]
    marked = {place for first, last in zip(begins, ends, strict=True) for place in range(first, last)}
    original = ast.unparse(ast.parse(source))
    found: dict[str, Mutant] = {}
    for place in range(len(list(ast.walk(ast.parse(source))))):
        number = 0
        while True:
            tree = ast.parse(source)
            changes = list(_changes(list(ast.walk(tree))[place], tree, marked))
            if number >= len(changes):
                break
            changes[number]()
            number += 1
            text = ast.unparse(ast.fix_missing_locations(tree))
            if text != original:
                found.setdefault(text, Mutant(_difference(original, text), text))
    return list(found.values())


def _difference(original: str, text: str) -> str:
    """The lines that a mutation has written, in one; of lines that it has only moved, also the one before them."""
    compared = [line for line in difflib.ndiff(original.splitlines(), text.splitlines()) if not line.startswith("?")]
    new = [line[2:].strip() for line in compared if line.startswith("+ ")]
    if not new:
        return "without " + "; ".join(line[2:].strip() for line in compared if line.startswith("- "))
    if set(new) <= {line.strip() for line in original.splitlines()}:
        kept = [line for line in compared if not line.startswith("- ")]
        first = next(place for place, line in enumerate(kept) if line.startswith("+ "))
        new.insert(0, kept[first - 1][2:].strip())
    return "; ".join(new)


def _changes(node: ast.AST, tree: ast.AST, marked: set[int]) -> Iterator[Change]:
    """The ways to change one thing about a node, in place."""
    for name, block in ast.iter_fields(node):
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield from _changes_of_a_block(node, name, block, marked)
    if getattr(node, "lineno", 0) not in marked:
        return
    match node:
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                for other in _COMPARISONS[type(operator)]:
                    yield lambda place=place, other=other: node.ops.__setitem__(place, other())  # type: ignore[misc]
            if len(node.ops) > 1:  # one condition of a chain dropped
                yield lambda: (node.ops.pop(), node.comparators.pop())
                yield lambda: node.__dict__.update(left=node.comparators.pop(0), ops=node.ops[1:])
        case ast.BoolOp():
            yield lambda: setattr(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
            for place in range(len(node.values)):
                yield lambda place=place: node.values.pop(place) if len(node.values) > 1 else None  # type: ignore[misc]
        case ast.IfExp():
            yield lambda: setattr(node, "test", ast.Constant(True))
            yield lambda: setattr(node, "test", ast.Constant(False))
        case ast.If():
            yield lambda: setattr(node, "test", ast.Constant(True))
            yield lambda: setattr(node, "test", ast.Constant(False))
        case ast.comprehension() if node.ifs:
            yield lambda: node.ifs.pop()
        case ast.BinOp() if type(node.op) in _OPERATORS:
            yield lambda: setattr(node, "op", _OPERATORS[type(node.op)]())
            if isinstance(node.left, ast.BinOp):  # the last term dropped
                yield lambda: node.__dict__.update(vars(node.left))
        case ast.Constant():
            yield from _changes_of_a_constant(node, tree, marked)
        case ast.For():
            yield lambda: setattr(node, "iter", _called("reversed", _called("list", node.iter)))
            yield lambda: node.body.append(ast.Break())
        case ast.Call():
            if isinstance(node.func, ast.Name) and node.func.id in _NARROWER:
                yield lambda: setattr(node.func, "id", _NARROWER[node.func.id])  # type: ignore[attr-defined]
            if isinstance(node.func, ast.Name) and len(node.args) == 1 and not node.keywords:
                yield lambda: node.__dict__.update(func=ast.Name("_same"))
            if len(node.args) > 1:
                yield lambda: node.args.reverse()
        case ast.Tuple() | ast.List() if isinstance(node.ctx, ast.Load) and len(node.elts) > 1:
            yield lambda: node.elts.reverse()
            if isinstance(node, ast.List):
                for place in range(len(node.elts)):
                    yield lambda place=place: node.elts.pop(place)  # type: ignore[misc]
        case ast.Name() if isinstance(node.ctx, ast.Load):
            names = _names(tree, marked)
            for name in sorted(names - {node.id}) if node.id in names else ():
                yield lambda name=name: setattr(node, "id", name)  # type: ignore[misc]


def _changes_of_a_block(parent: ast.AST, name: str, block: list[ast.stmt], marked: set[int]) -> Iterator[Change]:
    for place, statement in enumerate(block):
        if statement.lineno not in marked:
            continue
        yield lambda place=place: block.__setitem__(place, ast.Pass())  # type: ignore[misc]
        if (
            place + 1 < len(block)
            and block[place + 1].lineno in marked
            and not any(isinstance(one, ast.FunctionDef | ast.ClassDef) for one in block[place : place + 2])
        ):  # the order of definitions means nothing

            def swap(place: int = place) -> None:
                block[place], block[place + 1] = block[place + 1], block[place]

            yield swap
            if isinstance(statement, ast.For | ast.If | ast.With):  # what follows happens inside already
                yield lambda place=place: block[place].body.append(block.pop(place + 1))  # type: ignore[misc,attr-defined]
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Yield):
            yield lambda place=place: block.insert(place + 1, ast.Return())  # type: ignore[misc]
            yield lambda place=place: block.insert(place, block[place])  # type: ignore[misc]
    if name == "orelse" and block[0].lineno in marked:
        yield lambda: setattr(parent, name, [])


def _changes_of_a_constant(node: ast.Constant, tree: ast.AST, marked: set[int]) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool) or value is None:
        yield lambda: setattr(node, "value", not value)
    elif isinstance(value, int | float):
        for other in (value + 1, value - 1, -value, value * 10):
            yield lambda other=other: setattr(node, "value", other)  # type: ignore[misc]
    elif isinstance(value, str):
        texts = {
            one.value
            for one in ast.walk(tree)
            if isinstance(one, ast.Constant) and isinstance(one.value, str) and getattr(one, "lineno", 0) in marked
        }
        for text in sorted((texts | {""}) - {value}):
            yield lambda text=text: setattr(node, "value", text)  # type: ignore[misc]


def _names(tree: ast.AST, marked: set[int]) -> set[str]:
    """The variables that the marked lines assign."""
    return {
        one.id
        for one in ast.walk(tree)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store) and one.lineno in marked
    }


def _called(name: str, argument: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name), [argument], [])


def survivors(exercise: Exercise, answers: Answers, notebook: Notebook) -> tuple[int, list[Survivor]]:
    """How many mutants of an exercise's solution there are, and those that its check does not call wrong and nobody has explained.

    An explanation that fits no survivor is one, too.
    """
    cells = list(notebooks.code_cells(notebook))
    (place,) = [one for one in notebooks.places(notebook) if one.number == exercise.number]
    before = cells[: cells.index(place.exercise)]
    given = _imports(before) | dict(answers.given)
    source, check = _source(place.exercise), _source(place.check)
    said = _said(exercise, answers, source, check, given)
    if said != Kind.RIGHT.value:
        return 0, [Survivor(exercise.number, "the solution itself", said)]
    mutants, found = mutants_of(source), []
    for mutant in mutants:
        said = _said(exercise, answers, mutant.source, check, given)
        if said != Kind.WRONG.value:
            found.append(Survivor(exercise.number, mutant.written, said))
    known = {one.written for one in found}
    unused = [
        Survivor(exercise.number, one, "no survivor: remove it") for one in answers.equivalent if one not in known
    ]
    return len(mutants), [one for one in found if one.written not in answers.equivalent] + unused


def _source(cell: Cell | None) -> str:
    return str(cell.source) if cell is not None else ""


def _said(exercise: Exercise, answers: Answers, source: str, check: str, given: Mapping[str, Any]) -> str:
    """What the check says of a cell: right, wrong, not yet, or how it failed."""
    namespace = dict(given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a mutant may well do what pandas advises against
        return _tried(exercise, answers, source, check, namespace)


def _tried(exercise: Exercise, answers: Answers, source: str, check: str, namespace: dict[str, Any]) -> str:
    try:
        exec(source, namespace)  # noqa: S102 - the course's own solution
        answer = tuple(_argument(one, namespace) for one in _arguments(check))
    except Exception:
        return Kind.WRONG.value  # the learner's own cell fails
    try:
        verdict = exercise.verdict(answers.observe(*answer), answer)
    except (NotSolvedYet, AnswerFailed, TypeError):  # still to do; failed when it was tried, as a check says it
        return Kind.WRONG.value
    except Exception as error:
        return f"the check raised {type(error).__name__}: {error}"
    return (verdict.at_rest or verdict).kind.value


def _arguments(check: str) -> list[ast.expr]:
    (call,) = [
        node
        for node in ast.walk(ast.parse(check))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "check"
    ]
    return call.args[1:]


def _argument(node: ast.expr, namespace: dict[str, Any]) -> Any:
    """The value of an argument of the check; None where it comes from a cell that did not run."""
    if isinstance(node, ast.Name) and node.id not in namespace:
        return None
    return eval(ast.unparse(node), namespace)  # noqa: S307 - as above


def _imports(cells: list[Any]) -> dict[str, Any]:
    """What the cells before import."""
    namespace: dict[str, Any] = {"__name__": "__main__", "_same": lambda value: value}
    for cell in cells:
        if any(line.startswith("!") for line in cell.source.splitlines()):
            continue  # a command, which is no Python
        wanted: list[ast.stmt] = [
            node for node in ast.parse(cell.source).body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        exec(ast.unparse(ast.Module(wanted, [])), namespace)  # noqa: S102 - as above
    return namespace
