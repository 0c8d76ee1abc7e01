"""Earlier configurations, made again: an entry of the history, or the last that was good."""

import asyncio

from control_plane.checked import Checked
from control_plane.config.errors import InvalidConfig
from control_plane.history.entries import CannotRollBack, NoSuchEntry, Pin
from control_plane.history.record import Record
from control_plane.reader import Reader
from service_kit.log import Logger


class Past:
    """Reads what the record holds, with the compiler of today."""

    def __init__(self, reader: Reader, record: Record, log: Logger) -> None:
        self._reader = reader
        self._record = record
        self._log = log

    async def entry(self, number: int) -> Checked:
        """The texts of the entry; what they refer to is read anew. CannotRollBack, or InvalidConfig."""
        texts = await self._record.texts(number)
        if texts is None:
            why = self._record.reason or f"the history has no entry {number}: `tollgate history` lists them"
            raise NoSuchEntry(why)
        if not texts or self._reader.path is None:
            raise CannotRollBack("it was made of the environment's variables, which are no file to go back to")
        return await asyncio.to_thread(self._reader.of_texts, self._reader.path, texts)

    async def last_good(self, now: Checked | None = None) -> Checked | None:
        """The newest of this file that was live in whole, as it was; a preset is whatever is set now.

        None where that is what the file says `now`: at many routes, making it again takes seconds of a start.
        """
        inputs = await self._record.last_good()
        if inputs is None or inputs.path is None or inputs.path != self._reader.path:
            return None
        if now is not None and inputs.digest == now.loaded.inputs.digest:
            return None
        try:
            return await asyncio.to_thread(self._reader.of_inputs, inputs)
        except InvalidConfig as fault:
            self._log.error("the last good configuration cannot be made any more", reason=str(fault))
            return None

    async def pin(self, number: int, at: float) -> Pin:
        """Holds the entry in the record while the files are as they are now.

        CannotRollBack where the record cannot hold it: the next start would not know of it.
        """
        pin = Pin(number, await self._digest(), at)
        if not await self._record.pin(pin.number, pin.source_digest):
            raise CannotRollBack(self._record.reason)
        return pin

    async def hold(self, pin: Pin | None) -> None:
        """Holds this and nothing else."""
        kept = await (self._record.pin(None) if pin is None else self._record.pin(pin.number, pin.source_digest))
        if not kept:
            self._log.error("the next start may roll back as before", reason=self._record.reason)

    async def holds(self, pin: Pin) -> bool:
        """Whether the files are as they were when the pin was set."""
        return await self._digest() == pin.source_digest

    async def _digest(self) -> str:
        """The files as they are now, in short."""
        return await asyncio.to_thread(self._reader.digest)
