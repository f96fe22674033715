"""The clinic, read from one readable file: who it is, what can be booked there, what its page says and looks like."""

from booking.clinic.parts import (
    Address,
    Catalog,
    Clinic,
    Closure,
    Consent,
    ExtraHours,
    Hours,
    Location,
    Offer,
    Palette,
    Practitioner,
    Resource,
    Service,
    Sign,
    Texts,
    WorkingHours,
)
from booking.clinic.reading import DEFAULT_PATH, PURPOSES, ClinicFileWrong, load

__all__ = [
    "DEFAULT_PATH",
    "PURPOSES",
    "Address",
    "Catalog",
    "Clinic",
    "ClinicFileWrong",
    "Closure",
    "Consent",
    "ExtraHours",
    "Hours",
    "Location",
    "Offer",
    "Palette",
    "Practitioner",
    "Resource",
    "Service",
    "Sign",
    "Texts",
    "WorkingHours",
    "load",
]
