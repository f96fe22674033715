"""The program's door to the same things as the form: JSON only, and strict about keys."""

from flask import Blueprint, Response, request

from booking.domain.errors import CannotRead
from booking.web import representations
from booking.web.intake import read_post, take, utc_now
from booking.web.premises import premises

api = Blueprint("api", __name__, url_prefix="/api/v1")


@api.post("/leads")
def post_lead() -> Response:
    """One enquiry as JSON."""
    if request.mimetype not in {"application/json", ""} and not request.mimetype.endswith("+json"):
        raise CannotRead("The body must be JSON, sent as application/json.", malformed=True)
    intake = read_post(request, "api", utc_now())
    receipt = take(intake, utc_now())
    if receipt.incomplete:
        errors = {name: [text] for name, text in intake.submission.problems.items()}
        detail = f"The enquiry cannot be answered as it is. By phone: {premises().clinic.phone}."
        return representations.problem(422, detail, errors, receipt.reference)
    if receipt.refusal or receipt.taken:
        return representations.unbooked(receipt)
    return representations.received(receipt, intake.submission)
