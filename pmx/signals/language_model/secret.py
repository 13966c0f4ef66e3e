"""An API key that does not show itself."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NoReturn

from pmx.arguments import checked
from pmx.errors import SignalError

#: Visible ASCII: nothing else belongs into a header, least of all a line break.
_KEY = re.compile(r"[\x21-\x7e]{1,512}")
#: A file that is longer than this holds something else.
_LONGEST_FILE = 4096


class Secret:
    """Hold a key that is only ever written into the one header that needs it.

    Its text is not in its ``repr``, nor in ``str``, formatting, comparison or pickles, and no message quotes it. Nor do
    the local variables of this class hold it where it raises; those of its callers are theirs.

    Parameters
    ----------
    key : str
        1 to 512 visible ASCII characters.

    Raises
    ------
    SignalError
        If it is anything else; the message does not repeat it.

    Examples
    --------
    >>> secret = Secret("sk-not-a-key")
    >>> secret, f"{secret}", secret.header()["Authorization"] == "Bearer sk-not-a-key"
    (Secret(•••), 'Secret(•••)', True)
    """

    __slots__ = ("__key",)

    def __init__(self, key: str) -> None:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            del key  # a key with a blank too many is still a key
            raise SignalError(
                "the API key of the language model is not 1 to 512 visible ASCII characters (it is not shown here); "
                "give it without blanks and line breaks"
            )
        self.__key = key

    @classmethod
    @checked
    def from_file(cls, path: str | Path) -> Secret:
        """Read a key from a file that holds nothing else; blanks and line breaks around it are dropped.

        Raises
        ------
        SignalError
            If it cannot be read, may be read by others than its owner (on POSIX), or holds no key; the message names
            the file, never its contents.
        """
        try:
            with Path(path).open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode & 0o777
                content = file.read(_LONGEST_FILE + 1)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise SignalError(
                f"api_key_file {path} cannot be read ({reason}); name a file that holds the key"
            ) from None
        try:
            if os.name == "posix" and mode & 0o077:
                raise SignalError(
                    f"api_key_file {path} has mode {mode:04o}, so others than its owner have access to it; "
                    f"run chmod 600 {path}, and replace the key if it may have been read"
                )
            if len(content) > _LONGEST_FILE:
                raise SignalError(
                    f"api_key_file {path} is longer than {_LONGEST_FILE} bytes; it must hold the key alone"
                )
            return cls(content.decode("ascii", errors="replace").strip())
        finally:
            del content

    def header(self) -> dict[str, str]:
        """Return the header that shows the key to the endpoint."""
        return {"Authorization": f"Bearer {self.__key}"}

    def __repr__(self) -> str:
        return "Secret(•••)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled; give the key to the process that needs it")
