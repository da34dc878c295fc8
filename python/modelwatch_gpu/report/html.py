"""The report as one HTML file that needs no network and opens from disk."""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

# The page's own scripts, in the order in which they share one block scope.
_SCRIPTS = ("model.js", "matrix.js", "panel.js", "performance.js", "answers.js", "report.js")
#: Characters of markup that ASCII text can have, as JSON may write them.
_ESCAPES: Final = {c: f"\\u{ord(c):04x}" for c in "<>&"}


class _Shell(NamedTuple):
    """What every page has in common: the template, the texts that go into it, and the policy that lets them run."""

    template: Template
    policy: str
    style: str
    library: str
    script: str


def render_html(view: dict[str, Any]) -> str:
    """Return one self-contained page that shows `view`; the same view gives the same text.

    The page carries its style, scripts and data. Its content security policy allows only the scripts and the style
    whose hashes are named, and no request to anywhere. The data cannot break out of its element, whatever column
    and category names say. A number that is not finite raises `ValueError`.
    """
    shell = _shell()
    return shell.template.substitute(
        policy=shell.policy,
        title=html.escape(str(view.get("title") or "Drift report")),
        style=shell.style,
        library=shell.library,
        script=shell.script,
        view=_island(view),
    )


@functools.cache
def _shell() -> _Shell:
    """Read and hashed once: a monitor writes many pages."""
    style, library = _asset("report.css"), _asset("echarts.min.js")
    script = '"use strict";\n{\n' + "\n".join(map(_asset, _SCRIPTS)) + "}\n"
    policy = (
        f"default-src 'none'; script-src {_hash(library)} {_hash(script)}; style-src {_hash(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return _Shell(Template(_asset("report.html")), policy, style, library, script)


@functools.cache
def _assets() -> Traversable:
    return files("modelwatch_gpu.report").joinpath("assets")


def _asset(name: str) -> str:
    return _assets().joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The source expression that lets exactly this inline text run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _island(view: dict[str, Any]) -> str:
    """JSON that stays inside its script element: markup characters leave as \\uXXXX, and so does all beyond ASCII."""
    text = json.dumps(view, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text
