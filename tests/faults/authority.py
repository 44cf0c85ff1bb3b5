"""An authority and certificates of its own, for hosts whose addresses are built into libraries."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Sequence
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

HOSTS = ("api.twilio.com", "fcm.googleapis.com", "oauth2.googleapis.com", "www.googleapis.com")
_PEM = serialization.Encoding.PEM
_PLAIN = serialization.NoEncryption()


def make_authority(folder: Path, hosts: Sequence[str]) -> ssl.SSLContext:
    """A server's TLS context for `hosts`; what clients have to trust is in `folder/ca.pem`."""
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - certificates are about real time
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fault tests")])

    def build(subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=2))
            .not_valid_after(now + dt.timedelta(days=2))
        )

    authority = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    ca = (
        build(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(authority, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    certificate = (
        build(subject, key.public_key())
        .add_extension(names, critical=False)
        .add_extension(by, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    real = Path(certifi.where()).read_bytes()
    (folder / "ca.pem").write_bytes(real + b"\n" + ca.public_bytes(_PEM))
    served = folder / "server.pem"
    private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, _PLAIN)
    served.write_bytes(private + certificate.public_bytes(_PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(served)
    return context


def service_account(token_url: str) -> dict[str, str]:
    """A service account as Google hands it out, whose tokens come from `token_url`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, _PLAIN)
    return {
        "type": "service_account",
        "project_id": "ponte-faults",
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": "faults@ponte-faults.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_url,
    }
