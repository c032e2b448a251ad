"""Which templates a flow names, and whether each is there in every language with exactly what the flow gives it.

Reads the source of the functions that fill templates in, as `source.py` reads steps.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Final

from flows.dialog.content import Template
from flows.dialog.flow import Flow
from flows.dialog.templates import Templates

_FIELDS: Final = Template.__struct_fields__


@dataclass(frozen=True, slots=True)
class Use:
    """A template as a flow fills it in."""

    name: str
    given: tuple[str, ...]
    """Names of the variables, in order."""
    code: bool = False
    """Whether it is given a one-time code."""


def template_problems(flow: Flow[Any, Any], templates: Templates) -> Iterator[tuple[str, str]]:
    """(where, what is wrong) of each template that a flow names."""
    for state in flow.states.values():
        for after in state.timers:
            if after.template is None:
                continue
            uses: list[Use] | str
            if isinstance(after.template, str):
                uses = [Use(after.template, ())]
            else:
                uses = uses_in(after.template.fn)
            if isinstance(uses, str):
                yield state.key, uses
                continue
            for use in uses:
                for problem in _of_use(use, templates):
                    yield state.key, problem


def uses_in(fn: Any) -> list[Use] | str:
    """The templates that a function builds, or why they cannot be told from its source."""
    if not isinstance(fn, FunctionType):
        return f"{fn!r} builds a template out of sight: name a plain function"
    tree = ast.parse(textwrap.dedent(inspect.getsource(fn)))
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and fn.__globals__.get(_name(node.func)) is Template
    ]
    if not calls:
        return f"{fn.__name__} builds no template that can be seen: write Template(…) in it"
    found = []
    for call in calls:
        use = _use(call)
        if use is None:
            return f"{fn.__name__}: the name and the variables of a template must stand in it as they are"
        found.append(use)
    return found


def _use(call: ast.Call) -> Use | None:
    given = dict(zip(_FIELDS, call.args, strict=False)) | {
        keyword.arg: keyword.value for keyword in call.keywords if keyword.arg
    }
    name = given.get("name")
    if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
        return None
    names: list[str] = []
    if (variables := given.get("variables")) is not None:
        if not isinstance(variables, ast.Tuple):
            return None
        for pair in variables.elts:
            match pair:
                case ast.Tuple(elts=[ast.Constant(value=str(variable)), _]):
                    names.append(variable)
                case _:
                    return None
    return Use(name.value, tuple(names), code="code" in given)


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _of_use(use: Use, templates: Templates) -> Iterator[str]:
    for locale in templates.locales:
        file = templates.get(use.name, locale)
        if file is None:
            yield f"no template {use.name} in {locale}"
            continue
        if file.category == "authentication":
            if not use.code or use.given:
                yield f"template {use.name} ({locale}) is given a code, and nothing else"
        elif use.code:
            yield f"template {use.name} ({locale}) takes no code"
        elif sorted(use.given) != sorted(file.parameters):
            yield (
                f"template {use.name} ({locale}) takes {', '.join(file.parameters) or 'nothing'}, "
                f"is given {', '.join(use.given) or 'nothing'}"
            )
