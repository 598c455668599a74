"""A little certificate authority, made with the openssl that every server has."""

from __future__ import annotations

import subprocess
from pathlib import Path


def authority(folder: Path, name: str = "ca") -> Path:
    """Make a CA in a folder and return its certificate."""
    certificate = folder / f"{name}.crt"
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
        *("-keyout", folder / f"{name}.key", "-out", certificate, "-subj", f"/CN={name} of a test"),
    )
    return certificate


def certificate(folder: Path, name: str, hosts: str, ca: str = "ca") -> Path:
    """Make a certificate for hosts (``DNS:localhost,IP:127.0.0.1``), signed by a CA of the folder; return its file.

    Its key is beside it: ``NAME.key``.
    """
    request, extensions, made = folder / f"{name}.csr", folder / f"{name}.ext", folder / f"{name}.crt"
    _openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-keyout", folder / f"{name}.key", "-out", request, "-subj", f"/CN={name}"),
    )
    extensions.write_text(f"subjectAltName={hosts}\n")
    _openssl(
        *("x509", "-req", "-in", request, "-CA", folder / f"{ca}.crt", "-CAkey", folder / f"{ca}.key", "-days", "2"),
        *("-CAcreateserial", "-out", made, "-extfile", extensions),
    )
    return made


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, stdin=subprocess.DEVNULL)
