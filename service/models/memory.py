"""Which versions are in memory, and which of them answers."""

import logging
import time

from service.models.catalogue import Catalogue, Key
from service.models.choice import default_name, default_version, task_of
from service.models.served import Held
from stn.model_info import Task

log = logging.getLogger(__name__)


class Memory:
    """At most `limit` versions of a catalogue's models; where another comes, the one that was used least recently goes.

    Which version of a model answers when none is named changes only once the new one is in memory.
    """

    def __init__(self, limit: int, configured: str | None) -> None:
        self.limit = limit
        self.configured = configured
        """The default model, where one is set."""
        self.catalogue = Catalogue()
        self.held: dict[Key, Held] = {}
        self.answering: dict[str, int] = {}
        """The version of each name that answers when none is named."""
        self._answers: dict[tuple[str | None, int | None], Held] = {}
        """What a request may ask for, of what is held."""

    def find(self, name: str | None, version: int | None) -> Held | None:
        """What answers such a request; None where it is not in memory."""
        served = self._answers.get((name, version))
        if served is not None:
            served.last_used = time.time()
        return served

    def follow(self, catalogue: Catalogue) -> None:
        """Make this what the folder holds. What has gone from it is dropped, a default version once the next one is here."""
        self.catalogue = catalogue
        self._settle()

    def admit(self, served: Held) -> None:
        """Hold this version, in the place of what it was before."""
        self.held[served.key] = served
        for key in sorted(self.held, key=lambda key: self.held[key].last_used):
            if len(self.held) > self.limit and key != served.key and not self._is_irreplaceable(key):
                log.info("model %s, version %d, makes room for another", *key)
                del self.held[key]
        self._settle()

    def wants(self, key: Key) -> bool:
        """Whether this version is to answer for its model, or there is room for it anyway."""
        return len(self.held) < self.limit or default_version(self.catalogue, key[0], self.held) == key[1]

    def default_name(self, task: Task = "classify") -> str | None:
        """The model that answers when none is named."""
        return default_name(self.catalogue, self.configured if task == "classify" else None, self.held, task)

    def next_load(self) -> Key | None:
        """What should be loaded now though nobody asks: a file that has changed, a default version that is to answer,
        and, while there is room, the default version of the default model, then those registered last. An aligner, which
        brings torch into the process, is loaded when it is asked for."""
        for key, served in self.held.items():
            entry = self.catalogue.find(*key)
            if entry is not None and entry.reason is None and entry.stamp != served.stamp:
                return key
        defaults = {name: default_version(self.catalogue, name, self.held) for name in self.answering}
        for name, version in defaults.items():
            if version is not None and version != self.answering[name]:
                return name, version
        missing = [
            (name, version)
            for name, version in self.answering.items()
            if (name, version) not in self.held and task_of(self.catalogue.find(name, version)) == "classify"
        ]
        if not missing or len(self.held) >= self.limit:
            return None
        first = self.default_name()
        return max(missing, key=lambda key: (key[0] == first, self._registered(key), key))

    def _settle(self) -> None:
        answering: dict[str, int] = {}
        for name in self.catalogue.models:
            next_, now = default_version(self.catalogue, name, self.held), self.answering.get(name)
            if next_ is not None:
                waits = now is not None and (name, now) in self.held and (name, next_) not in self.held
                answering[name] = now if now is not None and waits else next_
        self.answering = answering
        answers: dict[tuple[str | None, int | None], Held] = {}
        default = self.default_name()
        for (name, version), served in list(self.held.items()):
            answers_unnamed = answering.get(name) == version
            is_there = self.catalogue.find(name, version) is not None
            names = [name, None] if name == default else [name]
            answers |= {(key, version): served for key in names if is_there}
            answers |= {(key, None): served for key in names if answers_unnamed}
            if not is_there and not answers_unnamed:
                del self.held[name, version]
        self._answers = answers

    def _is_irreplaceable(self, key: Key) -> bool:
        """Whether the file has been damaged since, so that it could not be loaded again."""
        entry = self.catalogue.find(*key)
        return entry is not None and entry.reason is not None

    def _registered(self, key: Key) -> float:
        entry = self.catalogue.find(*key)
        return entry.registered if entry else 0.0
