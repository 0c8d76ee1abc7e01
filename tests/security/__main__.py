"""Writes docs/security-acceptance.md."""

from tests.security.page import PAGE, page

PAGE.write_text(page())
