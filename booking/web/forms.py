"""Forms: the one set of rules for what people send, as a form or as JSON."""

from dataclasses import replace
from typing import Any

from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict
from wtforms import StringField, TextAreaField
from wtforms.validators import Length

from booking.domain.contact import LONGEST_NAME, clean_line
from booking.domain.fields import Fields
from booking.domain.submission import Circumstances, Submission, compose


def one_line(value: str | None) -> str:
    """A filter: what will be stored of one line of text."""
    return clean_line(value or "")


class LeadForm(FlaskForm):
    """Get in Touch / Book Appointment. Only a person who cannot be reached is refused, and a name of over 200 characters."""

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
    service = StringField("Service")
    message = TextAreaField("Message")
    preferred_times = StringField("Preferred times")
    contact_preference = StringField("How should we answer?")
    new_patient = StringField("New patient")

    def __init__(self, fields: Fields, **options: Any) -> None:
        self._posted = fields
        values = MultiDict((name, fields.text(name)) for name in fields.canonical)
        full_name = fields.text("name") or f"{fields.text('first_name')} {fields.text('last_name')}".strip()
        values["name"] = full_name
        super().__init__(formdata=values, **options)

    def read(self, *, region: str, circumstances: Circumstances) -> Submission:
        """The submission; its `problems` say by field, in words for the visitor, what keeps it from being accepted."""
        submission = compose(self._posted, region=region, circumstances=circumstances)
        self.validate()
        wrong = {name: str(texts[0]) for name, texts in self.errors.items() if name}
        return replace(submission, problems=wrong | submission.problems) if wrong else submission
