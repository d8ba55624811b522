"""What an encrypted line to the broker needs, made from the files that flags name, and its errors in words for people.

Knows TLS, its files and flags' names. Must not know sockets or the broker.
"""

from __future__ import annotations

import errno
from typing import Any

from kegapps.bridge.mqtt_settings import Tls
from kegapps.daemon.errors import StartError
from kegapps.kegnet.sockets import why

_HOSTNAME_MISMATCH, _ADDRESS_MISMATCH = 62, 64  # X509_V_ERR_...
_NO_TLS = ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "RECORD_LAYER_FAILURE")


def context(tls: Tls) -> Any:
    """An ssl.SSLContext. Raises StartError, which names the flag whose file cannot serve."""
    import ssl

    try:
        made = ssl.create_default_context(cafile=tls.ca or None)
    except OSError as error:  # of ssl, too
        raise StartError(f"--mqtt_tls_ca: {tls.ca} holds no certificate in PEM: {_said(error)}") from None
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate:
        try:
            # A key with a passphrase must not ask a person who is not there.
            made.load_cert_chain(tls.certificate, tls.key, password="")
        except (OSError, ValueError) as error:
            raise StartError(
                f"--mqtt_tls_certificate, --mqtt_tls_key: {tls.certificate} and {tls.key} are no certificate and its "
                f"key (PEM, without a passphrase): {_said(error)}"
            ) from None
    return made


def explained(error: OSError, *, tls: bool) -> str:
    """Why there is no connection, and what to do; `tls` if one was to be encrypted."""
    if verify := getattr(error, "verify_message", ""):
        code = getattr(error, "verify_code", 0)
        if code in (_HOSTNAME_MISMATCH, _ADDRESS_MISMATCH):
            return f"its certificate is for another name: {verify}; name it so in --mqtt_address"
        return f"its certificate is not to be trusted: {verify}; see --mqtt_tls_ca"
    said = _said(error)
    if tls and (error.errno == errno.ECONNRESET or getattr(error, "reason", "") in _NO_TLS):
        return (
            f"{said}; it speaks no TLS there, perhaps: see --mqtt_address (TLS has port 8883) and --mqtt_tls"
        )
    return said


def unanswered(*, tls: Tls | None) -> str:
    """Why a broker may have closed the line without a word, as an answer to our hello."""
    if tls is None:
        return "it closed the line without an answer; it speaks TLS there, perhaps: see --mqtt_tls"
    if not tls.certificate:
        return "it closed the line without an answer; it wants a certificate, perhaps: see --mqtt_tls_certificate"
    return "it closed the line without an answer; it does not trust --mqtt_tls_certificate, perhaps"


def _said(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    return error.strerror or why(error)
