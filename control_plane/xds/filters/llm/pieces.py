"""How many tokens of a stream have passed, as far as that can be seen from outside: for one that is left in the middle.

Servers say each token in an event, or a line, of its own; some several together. So a piece is one token, and one more
for every four bytes by which it is longer than the shortest piece of the stream: what all of them have is no text.
"""

from typing import Final

from service_kit import contract
from service_kit.metering import BYTES_A_TOKEN

# Bytes that a piece may have without a word in it: where all are longer than that, they are full of text.
LONGEST_FRAME: Final = 512
# Metadata is not written for each piece, so what is written is ahead by up to this part of it, and never behind.
AHEAD: Final = 16
# A client's leaving runs no line of a script: what is known is written while the stream passes.
COUNTING = rf"""
local function counting()
  return {{shortest = {LONGEST_FRAME}, count = 0, told = 0}}
end

local function piece(counted, size)
  if size < counted.shortest then counted.shortest = size end
  counted.count = counted.count + math.max(1, math.floor((size - counted.shortest) / {BYTES_A_TOKEN}))
end

local function tell(counted, handle)
  if counted.count <= counted.told then return end
  counted.told = counted.count + math.floor(counted.count / {AHEAD})
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("{contract.USAGE_NAMESPACE}", "{contract.NUMBER_PIECES}", counted.told)
end
"""
