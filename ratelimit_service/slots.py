"""Counters that live on several servers: slot by slot in one order for all callers, given back when one refuses.

No step has two slots, so that others may find more counted for a moment than is; never less. What is lost between two
steps of a take stays counted, but for what is held, which a settlement of the same claims finds. What a call holds in a
slot is remembered there, and the hold as a whole in a slot of its own, which is written last and forgotten last: so a
settlement may be told again until every slot has it, and each counts it once.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ratelimit_service import steps
from ratelimit_service.claims import Claim, Hold, Settled, Taken
from ratelimit_service.dated import DatedScripts
from ratelimit_service.places import Place, place, read_record, record
from ratelimit_service.scripts import Reply, Scripts, Step, StoreUnavailable

# Positions of the claims of each slot.
Groups = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Part:
    """What was taken in one slot."""

    places: Sequence[Place]
    # What remembers it.
    keys: tuple[str, ...]


async def take(store: DatedScripts, claims: Sequence[Claim], hold: Hold | None) -> Taken:
    """Takes all enforced claims or none."""
    groups = _by_slot(claims)
    answers: dict[str, Taken] = {}
    parts: list[Part] = []
    for slot, positions in groups.items():
        mine = [claims[position] for position in positions]
        part = _remembered(hold, slot) if hold is not None and any(claim.held for claim in mine) else None
        try:
            answers[slot] = await store.take(mine, part)
        except StoreUnavailable:
            await _undone(store.scripts, parts)
            raise
        if answers[slot].repeated:
            return await _repeated(store.scripts, parts, len(claims))
        if not answers[slot].admitted:
            return await _refused(store, claims, groups, (slot, answers[slot]), parts)
        parts.append(Part(_places(mine, answers[slot]), () if part is None else part.keys))
    if hold is not None and not await _opened(store.scripts, hold, parts):
        return await _repeated(store.scripts, parts, len(claims))
    return _joined(groups, answers, len(claims))


async def settle(scripts: Scripts, hold: str, claims: Sequence[Claim]) -> Settled:
    """Puts every place of a hold to what its claim came to; after StoreUnavailable it may be told again."""
    _, _, text = await scripts.call(steps.records([hold], steps.SHARDS))
    if not text:
        return await _settle_what_was_lost(scripts, hold, claims)
    slots = {one.slot for one in read_record(steps.text_of(text))[1]}
    await _all(scripts, [steps.settle(hold, steps.slot_record(hold, slot), claims) for slot in slots])
    status, *_ = await scripts.call(steps.close_hold(hold))
    return Settled(known=status == steps.DONE)


async def _settle_what_was_lost(scripts: Scripts, hold: str, claims: Sequence[Claim]) -> Settled:
    """Of a hold that is no whole: a server or this process was gone before all slots were taken."""
    slots = {claim.slot for claim in claims}
    replies = await _all(scripts, [steps.settle(hold, steps.slot_record(hold, slot), claims) for slot in slots])
    return Settled(known=any(status == steps.DONE for status, *_ in replies))


def _remembered(hold: Hold, slot: str) -> steps.Record:
    return steps.Record(hold, steps.slot_record(hold.id, slot))


def _by_slot(claims: Sequence[Claim]) -> Groups:
    groups: dict[str, list[int]] = {}
    for position, claim in sorted(enumerate(claims), key=lambda pair: pair[1].slot):
        groups.setdefault(claim.slot, []).append(position)
    return groups


def _places(claims: Sequence[Claim], answer: Taken) -> list[Place]:
    """What was taken: a claim in report mode that did not fit was not."""
    pairs = zip(claims, answer.readings, strict=True)
    return [place(claim, answer.now) for claim, reading in pairs if reading is not None and not reading.retry]


async def _opened(scripts: Scripts, hold: Hold, parts: Sequence[Part]) -> bool:
    """Whether the hold is new. Without an answer nothing is given back: it may be open."""
    text = record(hold.note, [one for part in parts for one in part.places if one.held])
    status, *_ = await scripts.call(steps.open_hold(hold, text))
    return status == steps.DONE


async def _repeated(scripts: Scripts, parts: Sequence[Part], claims: int) -> Taken:
    undone = await _undone(scripts, parts)
    return Taken(admitted=False, readings=(None,) * claims, repeated=True, degraded=not undone)


async def _refused(
    store: DatedScripts, claims: Sequence[Claim], groups: Groups, refusal: tuple[str, Taken], parts: Sequence[Part]
) -> Taken:
    """A refusal after what was taken before it is given back; the other counters are only looked at."""
    undone = await _undone(store.scripts, parts)
    others = [slot for slot in groups if slot != refusal[0]]
    looks = await asyncio.gather(*(_look(store, [claims[position] for position in groups[slot]]) for slot in others))
    answers = dict(zip(others, looks, strict=True)) | dict([refusal])
    degraded = not undone or any(look.degraded for look in looks)
    return replace(_joined(groups, answers, len(claims)), admitted=False, degraded=degraded)


async def _look(store: DatedScripts, claims: Sequence[Claim]) -> Taken:
    """How counters stand; it stays a refusal where one cannot be asked."""
    try:
        return await store.take(claims, dry=True)
    except StoreUnavailable:
        return Taken(admitted=False, readings=(None,) * len(claims), degraded=True)


async def _undone(scripts: Scripts, parts: Sequence[Part]) -> bool:
    """Whether all parts could be given back."""
    try:
        await _all(scripts, [steps.undo(part.places, part.keys) for part in parts if part.places or part.keys])
    except StoreUnavailable:
        return False
    return True


async def _all(scripts: Scripts, asked: Sequence[Step]) -> Sequence[Reply]:
    """All replies; one that fails keeps no other from being done."""
    replies = await asyncio.gather(*(scripts.call(step) for step in asked), return_exceptions=True)
    answered = [reply for reply in replies if not isinstance(reply, BaseException)]
    if len(answered) < len(replies):
        raise next(reply for reply in replies if isinstance(reply, BaseException))
    return answered


def _joined(groups: Groups, answers: Mapping[str, Taken], claims: int) -> Taken:
    """Answers of slots as that of one step."""
    readings = {
        position: reading
        for slot, answer in answers.items()
        for position, reading in zip(groups[slot], answer.readings, strict=True)
    }
    in_order = tuple(readings[position] for position in range(claims))
    return Taken(admitted=True, readings=in_order, now=max((one.now for one in answers.values()), default=0))
