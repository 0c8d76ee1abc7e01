"""`python -m tollgate_cli` is `tollgate`."""

from tollgate_cli.main import app

app()
