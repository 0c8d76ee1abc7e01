"""The rules that answer now, and when others take their place: bad files change nothing, and are counted and logged."""

import asyncio
from pathlib import Path
from typing import Final

from ratelimit_service.swap_in.files import read_files, stamps
from ratelimit_service.swap_in.loader import load_rules
from ratelimit_service.swap_in.metrics import SwapInMetrics
from ratelimit_service.swap_in.mistakes import InvalidRules
from ratelimit_service.swap_in.rules import Rules
from service_kit.log import Logger

# Seconds. Looking finds what no notice tells of: a symbolic link that is swapped anywhere on the way to the files.
LOOK_EVERY: Final = 0.5


class Rulebook:
    """The rules of a directory or file, read once now and again whenever the files change."""

    def __init__(self, path: Path, *, merge_domains: bool, metrics: SwapInMetrics, log: Logger) -> None:
        self._path = path
        self._merge_domains = merge_domains
        self._metrics = metrics
        self._log = log
        self._seen = stamps(path)
        self.current = self._read()

    async def follow(self) -> None:
        """Looks at the files for as long as the process runs."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.look()

    async def look(self) -> None:
        """Takes the files as they are, if they have changed and can be used."""
        found = await asyncio.to_thread(stamps, self._path)
        if found == self._seen:
            return
        # Before they are read: what changes meanwhile is seen the next time.
        self._seen = found
        try:
            self.current = await asyncio.to_thread(self._read)
        except InvalidRules as error:
            self._metrics.not_loaded()
            self._log.error("configuration not taken, the one before stays", mistakes=list(map(str, error.mistakes)))

    def _read(self) -> Rules:
        files = read_files(self._path)
        rules = load_rules(files, merge_domains=self._merge_domains)
        self._metrics.loaded(len(rules.domains))
        self._log.info("configuration taken", files=[file.name for file in files], domains=sorted(rules.domains))
        return rules
