"""Language models as they are meant: which there are, who answers for each, and the routes that take their calls."""
