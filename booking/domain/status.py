"""The life of a lead: its states, in the order of the work."""

from enum import StrEnum


class LeadStatus(StrEnum):
    """Where the desk stands with a lead."""

    NEW = "new"
    CONTACTED = "contacted"
    QUALIFIED = "qualified"
    CONVERTED = "converted"
    LOST = "lost"
