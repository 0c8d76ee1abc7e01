"""What a well-formed configuration may still get wrong: references to nothing, rules that nothing could enforce."""
