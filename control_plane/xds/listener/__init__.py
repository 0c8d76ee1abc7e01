"""Listeners: how a connection is read, normalised and bounded before any rule looks at it."""
