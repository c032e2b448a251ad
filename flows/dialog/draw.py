"""A flow as a picture: Mermaid text that a code host shows as a diagram."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from flows.dialog.flow import Flow
from flows.dialog.source import ANYWHERE, END, HUMAN, Edge, look, look_anywhere

LABELS_MAX: Final = 3
"""Conditions written on one arrow; more of them nobody reads on a drawing."""

_SIGNS = str.maketrans({":": " ", '"': "", "'": "", ";": ",", "\n": " ", "#": " "})


def draw(flow: Flow[Any, Any]) -> str:
    """The states and what leads from one to the next, in the order in which they are written."""
    lines = ["stateDiagram-v2", f"    [*] --> {flow.start.name}"]
    for state in flow.states.values():
        lines += _arrows(look(state).edges)
        match state.kind:
            case "calls":
                calls = ", ".join(sorted(kind.__name__ for kind in state.makes))
                lines.append(f"    note right of {state.name}: calls {calls}".rstrip())
            case "runs":
                assert state.sub is not None
                lines.append(f"    note right of {state.name}: runs {state.sub.name}")
            case "asks" | "picks":
                pass
    common = look_anywhere(flow).edges
    if common:
        lines.append("    state anywhere <<choice>>")
        lines += _arrows(common)
    return "\n".join(lines) + "\n"


def _arrows(edges: Iterable[Edge]) -> Iterator[str]:
    """One arrow from a state to another, with all the conditions under which it is gone."""
    labels: dict[tuple[str, str], list[str]] = {}
    for edge in edges:
        told = labels.setdefault((edge.source, edge.target), [])
        label = " ".join(edge.label.translate(_SIGNS).split())
        if label and label not in told:
            told.append(label)
    for (source, target), told in labels.items():
        start = "anywhere" if source == ANYWHERE else source
        end = {END: "[*]", HUMAN: HUMAN}.get(target, target)
        more = ["…"] if len(told) > LABELS_MAX else []
        label = " · ".join([*told[:LABELS_MAX], *more])
        yield f"    {start} --> {end}{f': {label}' if label else ''}"
