"""Urgency: the clinic's own list of signs, applied to what a submission says."""

from booking.clinic import Clinic
from booking.domain import triage
from booking.domain.submission import Submission
from booking.domain.triage import Assessment, Level, Sign


def assess(submission: Submission, clinic: Clinic) -> Assessment:
    """The signs on the clinic's list that were ticked."""
    if not submission.symptoms:
        return Assessment()
    signs = [Sign(each.slug, each.text, Level(each.level)) for each in clinic.signs]
    return triage.assess(submission.symptoms, signs)


def advice(assessment: Assessment, clinic: Clinic) -> str:
    """What somebody with such signs should read now; empty without any. It diagnoses nobody."""
    if assessment.emergency:
        return clinic.texts.emergency_advice
    return clinic.texts.urgent_advice if assessment.urgent else ""
