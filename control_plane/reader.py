"""Where configurations come from: the files as they are now, as they once were, or all that one was made of."""

from collections.abc import Callable, Mapping
from pathlib import Path

from control_plane.checked import Checked, Checker
from control_plane.config.errors import Location
from control_plane.config.inputs import Inputs, source_digest
from control_plane.config.key_sets import KeySets, recorded_key_sets, with_key_sets
from control_plane.config.load import load_inputs, load_texts, source_place


class Reader:
    """Reads and checks, blocking; without a path the environment's preset. InvalidConfig has every mistake."""

    def __init__(
        self,
        path: Path | None,
        environ: Mapping[str, str],
        checker: Checker,
        key_sets: Callable[[], KeySets] = dict,
    ) -> None:
        self.path = path
        self._environ = environ
        self._checker = checker
        self._key_sets = key_sets

    @property
    def place(self) -> Location:
        """Where a mistake of the whole configuration is reported."""
        return source_place(self.path)

    def read(self) -> Checked:
        """What the files say now."""
        return self._checker.read(self.path, self._environ, self._key_sets())

    def of_texts(self, path: Path, texts: Mapping[str, bytes]) -> Checked:
        """What these texts say in place of the files at the path; what they refer to is read anew."""
        return self._checker.meant(with_key_sets(load_texts(path, texts, self._environ), self._key_sets()))

    def of_inputs(self, inputs: Inputs) -> Checked:
        """The configuration that was once made of these, whatever the files hold now.

        Key sets are those of today, as far as there are any: a key that its issuer has withdrawn does not come back.
        """
        sets = {**recorded_key_sets(inputs.referenced), **self._key_sets()}
        return self._checker.meant(with_key_sets(load_inputs(inputs), sets))

    def with_current_keys(self, checked: Checked) -> Checked:
        """The same configuration with the key sets of now; itself where they are the same."""
        loaded = with_key_sets(checked.loaded, self._key_sets())
        return checked if loaded.referenced == checked.loaded.referenced else self._checker.meant(loaded)

    def digest(self) -> str:
        """The files in short, whether or not they can be used."""
        return source_digest(self.path)
