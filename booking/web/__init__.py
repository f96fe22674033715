"""HTTP: parse, call one operation, answer; nothing is decided here."""
