"""Rules: pure Python, no Flask, no SQLAlchemy, no clock, no input or output."""
