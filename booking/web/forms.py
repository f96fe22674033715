"""Forms: the one set of rules for what people send, as a form or as JSON."""

from dataclasses import replace
from typing import Any

from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict
from wtforms import StringField
from wtforms.validators import Length

from booking.domain.contact import LONGEST_NAME, clean_line
from booking.domain.fields import Fields
from booking.domain.submission import Circumstances, Submission, compose


def one_line(value: str | None) -> str:
    """A filter: what will be stored of one line of text."""
    return clean_line(value or "")


class LeadForm(FlaskForm):
    """Get in Touch / Book Appointment: refused is only who cannot be reached, and a name too long for one."""

    class Meta:
        """No token: it would expire on a cached page and lose leads; a forged post has no authority to borrow."""

        csrf = False

    name = StringField(
        "Name",
        filters=[one_line],
        validators=[Length(max=LONGEST_NAME, message=f"A name may have {LONGEST_NAME} characters at most.")],
    )
    email = StringField("E-mail")
    phone = StringField("Phone")

    def __init__(self, fields: Fields, **options: Any) -> None:
        self._posted = fields
        name = fields.text("name") or f"{fields.text('first_name')} {fields.text('last_name')}".strip()
        values = MultiDict({"name": name, "email": fields.text("email"), "phone": fields.text("phone")})
        super().__init__(formdata=values, **options)  # type: ignore[no-untyped-call]  # Flask-WTF has no types

    def read(self, *, region: str, circumstances: Circumstances) -> Submission:
        """The submission; its `problems` say by field, in words for the visitor, what keeps it from being accepted."""
        submission = compose(self._posted, region=region, circumstances=circumstances)
        self.validate()
        wrong = {field.name: str(field.errors[0]) for field in self if field.errors}
        return replace(submission, problems=wrong | submission.problems) if wrong else submission
