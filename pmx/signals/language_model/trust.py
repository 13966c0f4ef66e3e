"""Whom to believe over TLS: named authorities or those of the system, whatever the environment says."""

from __future__ import annotations

import re
import ssl
from contextlib import suppress
from pathlib import Path

from pmx.errors import SignalError

#: How OpenSSL names a certificate in a folder: by the hash of whose it is.
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
_KEY = "signal_routing_config.engines.language_model.ca_file"


def trusted(ca_file: str | Path | None = None) -> ssl.SSLContext:
    """Return a TLS context that believes a server only with a certificate for its name from a known authority.

    Parameters
    ----------
    ca_file : str or path, optional
        PEM file of the authorities to believe, and no others; if omitted, those in the places that are compiled into
        OpenSSL.

    Returns
    -------
    ssl.SSLContext
        TLS 1.2 or later; the server's certificate and name are checked.

    Raises
    ------
    SignalError
        If ``ca_file`` cannot be read or holds no certificate, or it is omitted and there is none in the compiled-in
        places, as with some builds of Python on Windows and macOS.

    Notes
    -----
    `ssl.create_default_context` lets ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` choose whom to believe and
    ``SSLKEYLOGFILE`` where to write the keys that open the traffic. This context takes nothing from there.

    Examples
    --------
    >>> trusted("no-such-file.pem")
    Traceback (most recent call last):
    ...
    pmx.errors.SignalError: ...language_model.ca_file no-such-file.pem cannot be read (No such file...
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        _believe(context, Path(ca_file))
        return context
    compiled_in = ssl.get_default_verify_paths()
    _believe_places(context, Path(compiled_in.openssl_cafile), Path(compiled_in.openssl_capath))
    return context


def _believe_places(context: ssl.SSLContext, file: Path, folder: Path) -> None:
    """Believe the authorities in a file and a folder, either of which may be missing or hold none."""
    with suppress(OSError):  # of which an SSLError is one
        context.load_verify_locations(cafile=file)
    try:
        # Read when a server shows up, by these names alone: an empty folder would pass here and believe nobody then.
        hashed = any(_HASHED.fullmatch(entry.name) for entry in folder.iterdir())
    except OSError:
        hashed = False
    if hashed:
        context.load_verify_locations(capath=folder)
    if not hashed and not context.cert_store_stats()["x509"]:
        raise SignalError(
            f"there are no certificates of authorities in {file} or {folder}, so no server can be believed over https; "
            f"name a PEM file of them in {_KEY}"
        )


def _believe(context: ssl.SSLContext, file: Path) -> None:
    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError:
        problem = "holds no certificate in PEM"
    except OSError as error:
        problem = f"cannot be read ({error.strerror or type(error).__name__})"
    else:
        return
    raise SignalError(f"{_KEY} {file} {problem}; name a PEM file of the certificates of the authorities to believe")
