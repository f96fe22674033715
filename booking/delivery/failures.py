"""Failures: how handing over a message can end other than well, in words that the desk can read."""


class Undelivered(Exception):
    """The message was not taken. The text says why; it quotes no recipient and nothing that a visitor wrote."""


class TryLater(Undelivered):
    """Not now: the other side is away, slow, or asked for patience, for `after` seconds if it said how long."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Refused(Undelivered):
    """Never: to send it again would end the same way. `gone`: nothing should be sent to this recipient any more."""

    def __init__(self, reason: str, *, gone: bool = False) -> None:
        super().__init__(reason)
        self.gone = gone
