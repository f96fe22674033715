"""What every door needs, opened once per process: the database, the keys, the spool, the clinic, the ways outside."""

from collections.abc import Callable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from booking.clinic import Clinic
from booking.database import Database
from booking.delivery.letters import Letters
from booking.delivery.mail import Mailer
from booking.delivery.sms import Provider
from booking.keyring import Keyring
from booking.operations.catalog import CatalogCache
from booking.operations.leads import Desk
from booking.operations.notifications import Telling
from booking.receipts import Receipts
from booking.spool import Spool
from booking.traffic import Traffic


@dataclass(frozen=True)
class Outside:
    """How people and programs outside are reached.

    `open_mailer` is for one thread each, and its letters are named within `mail_domain`; without `texts` none are sent;
    `alarm_url` is empty if there is no second way to be told that something fails. `guarded` lets nothing be sent to
    addresses within; every `watch_minutes` the form is tested, and never if that is 0. Webflow may tell what it
    saw at an address that ends with `webflow_secret`, if there is one.
    """

    letters: Letters
    open_mailer: Callable[[], Mailer]
    mail_domain: str
    texts: Provider | None
    desk: tuple[str, ...]
    alarm_url: str
    guarded: bool
    watch_minutes: int
    webflow_secret: str
    webflow_signing_key: str


@dataclass(frozen=True)
class Runtime:
    """The opened parts of one process, and the few plain settings that doors ask for."""

    clinic: Clinic
    database: Database
    keyring: Keyring
    spool: Spool
    receipts: Receipts
    outside: Outside
    base_url: str
    allowed_origins: tuple[str, ...]
    production: bool
    catalogs: CatalogCache = field(default_factory=CatalogCache)
    traffic: Traffic = field(default_factory=Traffic)

    @property
    def desk(self) -> Desk:
        """What capturing a lead needs besides the database."""
        return Desk(self.clinic, self.keyring, self.catalogs, self.telling)

    @property
    def telling(self) -> Telling:
        """Who at the clinic hears of things, and whether texts can be sent."""
        return Telling(self.outside.desk, self.outside.texts is not None, self.clinic.region)

    @property
    def zone(self) -> ZoneInfo:
        """The clinic's own clock."""
        return ZoneInfo(self.clinic.timezone)
