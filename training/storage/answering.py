"""Whether a storage answers, said when that changes."""

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)


class Answering:
    """What is tried of a storage, again and again.

    Args:
        who: what the lines of the log begin with.
    """

    def __init__(self, who: str = "") -> None:
        self._who, self.trouble = who, ""

    def once(self, work: Callable[[], None]) -> None:
        """Of what does not work the next time has all."""
        try:
            work()
            self.say("")
        except OSError as error:
            self.say(str(error))

    def say(self, trouble: str) -> None:
        """Why it does not answer; empty where it does."""
        if bool(trouble) != bool(self.trouble):
            log.warning("%s%s", self._who, trouble or "the storage answers again")
        self.trouble = trouble
