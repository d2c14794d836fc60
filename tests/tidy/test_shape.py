"""A function fits a screen, a module is one noun."""

import ast

from tests.tidy.tree import everything, product

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 500
# What is longer, with the length it may not outgrow. Only ever lower a number or strike a line.
LONGER_FUNCTIONS = {"tests/fakes/portal_reads.py _sell": 83}
LONGER_MODULES: dict[str, int] = {}
BANNED_MODULE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "stuff"}


def test_a_function_fits_a_screen():
    """No function is longer than 70 lines, signature and docstring counted, in tests neither."""
    too_long = [
        f"{module.path}:{function.lineno} {function.name}: {length} lines"
        for module in everything()
        for function in module.functions()
        if (length := (function.end_lineno or 0) - function.lineno + 1)
        > LONGER_FUNCTIONS.get(f"{module.path} {function.name}", FUNCTION_LINES_MAX)
    ]

    assert [] == too_long


def test_a_module_is_short_enough_to_know():
    """No module that ships has more than 500 lines, and the few older giants may only shrink."""
    too_long = [
        f"{module.path}: {module.lines} lines"
        for module in product()
        if module.lines > LONGER_MODULES.get(module.path, MODULE_LINES_MAX)
    ]

    assert [] == too_long


def test_the_list_of_longer_modules_only_shrinks():
    """A module that fits again, or is gone, leaves the list: a ratchet must not slip back."""
    lines = {module.path: module.lines for module in product()}

    assert [] == [path for path in LONGER_MODULES if lines.get(path, 0) <= MODULE_LINES_MAX]


def test_every_module_is_named_after_its_noun():
    """A function without a home goes to the module named after its argument, not to utils."""
    assert [] == [
        module.path
        for module in everything()
        if BANNED_MODULE_NAMES & set(module.path.removesuffix(".py").split("/"))
    ]


def test_every_module_says_what_it_is_for():
    """Each module that ships opens with a docstring; one of a package says what it promises."""
    assert [] == [
        module.path
        for module in product()
        if module.text.strip() and ast.get_docstring(module.tree) is None
    ]
