"""WitnessedPost: what Webflow says was posted by the web site's form, to be compared with what reached us."""

from datetime import datetime

from sqlalchemy import CheckConstraint, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from booking.database import Base

POST = "witnessed_post.content"  # the place name under which what was posted is sealed


class WitnessedPost(Base):
    """One post by Webflow's own id; `outcome` is empty until it was compared, `reference` then names the lead.

    It is compared at `compare_at`: later than at first where that failed, so that it is in nobody's way.
    """

    __tablename__ = "witnessed_post"

    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    posted_at: Mapped[datetime] = mapped_column(index=True)
    compare_at: Mapped[datetime]
    compared_at: Mapped[datetime | None]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    outcome: Mapped[str] = mapped_column(String(10), default="")
    reference: Mapped[str] = mapped_column(String(20), default="")

    __table_args__ = (CheckConstraint("outcome IN ('', 'known', 'imported')", name="outcome"),)
