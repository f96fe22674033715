"""What every door needs, opened once per process: the database, the keys, the spool, the clinic."""

from dataclasses import dataclass, field

from booking.clinic import Clinic
from booking.database import Database
from booking.keyring import Keyring
from booking.operations.catalog import CatalogCache
from booking.operations.leads import Desk
from booking.receipts import Receipts
from booking.spool import Spool


@dataclass(frozen=True)
class Runtime:
    """The opened parts of one process, and the few plain settings that doors ask for."""

    clinic: Clinic
    database: Database
    keyring: Keyring
    spool: Spool
    receipts: Receipts
    base_url: str
    allowed_origins: tuple[str, ...]
    production: bool
    catalogs: CatalogCache = field(default_factory=CatalogCache)

    @property
    def desk(self) -> Desk:
        """What capturing a lead needs besides the database."""
        return Desk(self.clinic, self.keyring, self.catalogs)
