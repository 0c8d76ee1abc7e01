"""Where configurations come from: the files as they are now, as they once were, or all that one was made of."""

from collections.abc import Callable, Mapping
from pathlib import Path

from control_plane.checked import Checked, Checker
from control_plane.config.discovered import Found, recorded_models, with_discovered
from control_plane.config.errors import Location
from control_plane.config.inputs import Inputs, source_digest
from control_plane.config.key_sets import KeySets, recorded_key_sets, with_key_sets
from control_plane.config.load import Loaded, load_inputs, load_texts, source_place


class Reader:
    """Reads and checks, blocking; without a path the environment's preset. InvalidConfig has every mistake."""

    def __init__(
        self,
        path: Path | None,
        environ: Mapping[str, str],
        checker: Checker,
        key_sets: Callable[[], KeySets] = dict,
        discovered: Callable[[], Found] = dict,
    ) -> None:
        self.path = path
        self._environ = environ
        self._checker = checker
        self._key_sets = key_sets
        self._discovered = discovered

    @property
    def place(self) -> Location:
        """Where a mistake of the whole configuration is reported."""
        return source_place(self.path)

    def read(self) -> Checked:
        """What the files say now."""
        return self._checker.read(self.path, self._environ, self._key_sets(), self._discovered())

    def of_texts(self, path: Path, texts: Mapping[str, bytes]) -> Checked:
        """What these texts say in place of the files at the path; what they refer to is read anew."""
        return self._checker.meant(self._with_what_was_found(load_texts(path, texts, self._environ)))

    def of_inputs(self, inputs: Inputs) -> Checked:
        """The configuration that was once made of these, whatever the files hold now.

        Key sets and models are those of today, as far as there are any: a key that its issuer has withdrawn does not
        come back.
        """
        sets = {**recorded_key_sets(inputs.referenced), **self._key_sets()}
        models = {**recorded_models(inputs.referenced), **self._discovered()}
        return self._checker.meant(with_discovered(with_key_sets(load_inputs(inputs), sets), models))

    def with_current(self, checked: Checked) -> Checked:
        """The same configuration with the key sets and models of now; itself where they are the same."""
        loaded = self._with_what_was_found(checked.loaded)
        return checked if loaded.referenced == checked.loaded.referenced else self._checker.meant(loaded)

    def _with_what_was_found(self, loaded: Loaded) -> Loaded:
        return with_discovered(with_key_sets(loaded, self._key_sets()), self._discovered())

    def digest(self) -> str:
        """The files in short, whether or not they can be used."""
        return source_digest(self.path)
