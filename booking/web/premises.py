"""The opened parts of this process, as every request finds them."""

from flask import current_app

from booking.runtime import Runtime


def premises() -> Runtime:
    """The Runtime that `create_app` put into the application."""
    found: Runtime = current_app.extensions["booking"]
    return found
