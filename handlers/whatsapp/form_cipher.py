"""The envelope in which WhatsApp Flows (our forms) talk to us: RSA-2048 around AES-GCM, a key for each number.

Source: Meta, "Implementing endpoints for Flows", "Business encryption" (v26.0).
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BITS: Final = 2048
AES_BYTES: Final = 16
IV_BYTES: Final = (12, 16)  # Meta documents 16, and has sent 12

_PEM: Final = re.compile(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----\n?", re.DOTALL)
_OAEP: Final = padding.OAEP(
    mgf=padding.MGF1(algorithm=hashes.SHA256()), algorithm=hashes.SHA256(), label=None
)


class Envelope(msgspec.Struct, frozen=True):
    """The body of a request."""

    encrypted_flow_data: str
    encrypted_aes_key: str
    initial_vector: str


class CipherError(Exception):
    """It was not encrypted for this key, or it was changed on the way."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Encrypts the one answer to a request."""

    _key: bytes
    _iv: bytes

    def seal(self, answer: bytes) -> str:
        """The answer's body, base64: under the request's own AES key, every bit of its IV inverted."""
        iv = bytes(byte ^ 0xFF for byte in self._iv)
        return base64.b64encode(AESGCM(self._key).encrypt(iv, answer, None)).decode()


class FormKey:
    """The private key of one number."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self._key = key

    @classmethod
    def new(cls) -> Self:
        return cls(rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS))

    @classmethod
    def load(cls, pem: str) -> Self:
        """
        Raises:
            ValueError: it is not the text of an RSA key.
        """
        key = serialization.load_pem_private_key(pem.encode(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError("not an RSA key")
        return cls(key)

    def private_pem(self) -> str:
        """To be sealed and stored."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    def public_pem(self) -> str:
        """To be given to Meta: `POST /<phone_number_id>/whatsapp_business_encryption`."""
        return (
            self._key.public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            .decode()
        )

    def open(self, envelope: Envelope) -> tuple[bytes, Reply]:
        """What was asked (JSON, unread), and the way to answer it.

        Raises:
            CipherError: answered with HTTP 421, after which Meta's client fetches our public key anew.
        """
        try:
            sealed, wrapped, iv = (
                base64.b64decode(text, validate=True)
                for text in (
                    envelope.encrypted_flow_data,
                    envelope.encrypted_aes_key,
                    envelope.initial_vector,
                )
            )
            key = self._key.decrypt(wrapped, _OAEP)
        except (binascii.Error, ValueError) as error:
            raise CipherError("not for this key") from error
        if len(key) != AES_BYTES or len(iv) not in IV_BYTES:
            raise CipherError("a key or vector of another size")
        try:
            return AESGCM(key).decrypt(iv, sealed, None), Reply(key, iv)
        except (InvalidTag, ValueError) as error:
            raise CipherError("changed on the way") from error


class FormKeys:
    """The keys of one number: the one that Meta has, and another while the two are exchanged."""

    def __init__(self, keys: Sequence[FormKey]) -> None:
        """`keys`: the current one first."""
        assert keys
        self.keys = tuple(keys)

    @classmethod
    def load(cls, pem: str) -> Self:
        """
        Raises:
            ValueError: it is not the text of RSA keys.
        """
        keys = [FormKey.load(block) for block in _PEM.findall(pem)]
        if not keys:
            raise ValueError("no key in PEM")
        return cls(keys)

    def pem(self) -> str:
        return "".join(key.private_pem() for key in self.keys)

    def open(self, envelope: Envelope) -> tuple[bytes, Reply]:
        """As `FormKey.open`, with whichever key fits."""
        for key in self.keys[:-1]:
            try:
                return key.open(envelope)
            except CipherError:
                continue
        return self.keys[-1].open(envelope)
