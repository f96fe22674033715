"""Delivery: one message is handed to the outside, by mail, webhook or SMS; nothing here knows why."""
