"""What vendors of language models say on the wire, and how one dialect becomes another: a library without I/O.

Requests go from JSON to JSON, through tables that say of each parameter whether it is taken, dropped or refused.
Answers are read into a few typed values (`answers`), which any dialect writes: a vendor brings one reader and no pairs.
OpenAI's format stands in the middle: a client's dialect is brought to it, a vendor's is reached from it.
"""
