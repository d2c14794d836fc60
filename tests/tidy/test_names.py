"""The unit is the last word of a name: most silent bugs are unit bugs."""

import ast
import re
from collections.abc import Iterator

from tests.tidy.tree import Module, product

WITHOUT_UNIT = re.compile(
    r"(^|_)(timeout|interval|age|size|amount|price|delay|duration|ttl|lifetime|deadline)$",
    re.IGNORECASE,
)
# RFC 6962's word for how many leaves a tree has: a count, and the wire says it too.
TREE_SIZE = re.compile(r"(^|_)size$", re.IGNORECASE)
SPEAKS_OF_TREES = re.compile(
    r"shared/(merkle|checkpoint|wire/\w+)\.py|hub/(ledger|devices|portals)/.*"
    r"|edge_agent/(delivery/.*|\w+\.py)|firmware_sim/.*"
)

# Older names, to be renamed when their module is next touched. Only ever strike a line.
OLDER = {
    ("edge_agent/buffer/carving.py", "size"),
    ("edge_agent/buffer/segments.py", "size"),
    ("hub/portals/languages.py", "amount"),
}


def names_that_travel(module: Module) -> Iterator[tuple[int, str]]:
    """Parameters, fields and constants: what is read far away from where it is explained."""
    for node in ast.walk(module.tree):
        match node:
            case ast.arg():
                yield node.lineno, node.arg
            case ast.ClassDef() | ast.Module():
                yield from assigned_names(node)


def assigned_names(scope: ast.ClassDef | ast.Module) -> Iterator[tuple[int, str]]:
    """Fields and constants; a pattern that recognises amounts is not an amount."""
    for statement in scope.body:
        value = getattr(statement, "value", None)
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]).istitle():
            continue  # the name of a type
        if isinstance(value, ast.Call) and ast.unparse(value.func) == "re.compile":
            continue
        targets = (
            [statement.target]
            if isinstance(statement, ast.AnnAssign)
            else statement.targets
            if isinstance(statement, ast.Assign)
            else []
        )
        for target in targets:
            if isinstance(target, ast.Name):
                yield statement.lineno, target.id


def test_a_quantity_names_its_unit():
    """A timeout is a timeout_ms, a price a price_idr, a size a count or so many bytes."""
    assert [] == [
        f"{module.path}:{line} {name}"
        for module in product()
        for line, name in names_that_travel(module)
        if WITHOUT_UNIT.search(name)
        and (module.path, name) not in OLDER
        and not (TREE_SIZE.search(name) and SPEAKS_OF_TREES.fullmatch(module.path))
    ]


def test_floats_never_hold_money():
    """Rupiah are integers: no name that ends in _idr is annotated as a float."""
    assert [] == [
        f"{module.path}:{node.lineno}"
        for module in product()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.AnnAssign | ast.arg)
        and node.annotation is not None
        and "_idr" in ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node)
        and "float" in ast.unparse(node.annotation)
    ]
