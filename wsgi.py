"""The application for WSGI servers: `wsgi:app`."""

from booking.app import create_app, read_settings

app = create_app(read_settings())
