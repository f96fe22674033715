"""Letters: templates and the words of the moment become what the visitor and the front desk read, by mail or text."""

import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from css_inline import CSSInliner
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

STYLES = "email/_letter.css"
LONGEST_SUBJECT = 78
OPENING_TAG = re.compile(r"""<([a-z][a-z0-9]*)((?:\s[^<>"]*(?:"[^"]*"[^<>"]*)*)?)>""")
CLASSES = re.compile(r'\sclass="([^"{]*)"')
COLOUR = re.compile(r"var\(--(\w+)\)")


@dataclass(frozen=True)
class Written:
    """A letter's words; the subject is one line, and the text says all that the HTML says."""

    subject: str
    text: str
    html: str


class Letters:
    """The templates of a folder: `email/<event>/<audience>.{subject.txt,txt,html}` and `sms/<event>.txt`.

    A word that a template wants and is not given is an error, never a gap in a letter. Each template is read once.
    """

    def __init__(self, folder: Path) -> None:
        self._environment = Environment(
            loader=_StyledTemplates(folder),
            undefined=StrictUndefined,
            autoescape=select_autoescape(["html"], default_for_string=False),
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )

    def write(self, event: str, audience: str, words: Mapping[str, Any]) -> Written:
        """Write a letter; raises what a template raises."""
        subject, text, html = (
            self._rendered(f"email/{event}/{audience}.{kind}", words) for kind in ("subject.txt", "txt", "html")
        )
        return Written(
            subject=textwrap.shorten(subject, LONGEST_SUBJECT, placeholder=" ..."),
            text=re.sub(r"\n{3,}", "\n\n", text).strip() + "\n",
            html=html,
        )

    def text(self, event: str, words: Mapping[str, Any]) -> str:
        """Write a text message, as one line; raises what a template raises."""
        return " ".join(self._rendered(f"sms/{event}.txt", words).split())

    def _rendered(self, name: str, words: Mapping[str, Any]) -> str:
        return self._environment.get_template(name).render(words)


class _StyledTemplates(FileSystemLoader):
    """Templates with the style sheet written into each element of their source, as mail programs want it.

    That is done when a template is read, so a letter costs no more for it. It comes out right only because the rules
    of the sheet look at an element alone, at its name and its classes, and no template makes up a class. A colour is
    written `var(--ink)`, and becomes the clinic's own.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        inliner = CSSInliner(extra_css=(folder / STYLES).read_text(encoding="utf-8"), load_remote_stylesheets=False)
        self._style_of = cache(partial(_style_of, inliner))

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        source, path, is_current = super().get_source(environment, template)
        if template.startswith("email/") and template.endswith(".html"):
            source = OPENING_TAG.sub(self._styled, source)
        return source, path, is_current

    def _styled(self, tag: re.Match[str]) -> str:
        name, attributes = tag.groups()
        classes = CLASSES.search(attributes)
        return f"<{name}{attributes}{self._style_of(name, classes[1] if classes else '')}>"


def _style_of(inliner: CSSInliner, name: str, classes: str) -> str:
    """The style attribute of an element, if the sheet has a rule for it."""
    inlined = inliner.inline(f'<{name} class="{classes}">')
    found = re.search(rf'<{name}\b[^>]*(\sstyle="[^"]*")', inlined)
    return COLOUR.sub(r"{{ clinic.light.\1 }}", found[1]) if found else ""
