"""Keys: made once, private to their owner, never mixed up."""

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from gridhash.agents.signing import PublicKey, generate_key, read_key, read_public_key
from gridhash.errors import BundleError


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_private_key_is_its_owner_s_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        generate_key(tmp_path / "trainer.pem")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "trainer.pem").stat().st_mode) == 0o600


def test_a_private_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    generate_key(tmp_path / "trainer.pem")
    (tmp_path / "trainer.pem").chmod(0o640)

    with pytest.raises(BundleError, match=r"mode 0640\); run chmod 600"):
        read_key(tmp_path / "trainer.pem")


def test_a_key_read_back_signs_what_the_public_file_verifies(tmp_path: Path) -> None:
    made = generate_key(tmp_path / "trainer.pem")

    signature = read_key(tmp_path / "trainer.pem").sign(b"message")

    for public in (
        read_public_key(tmp_path / "trainer.pub"),
        read_public_key(str(tmp_path / "trainer.pub")),
        read_public_key(made.public.hex),
        read_public_key(made.public.hex.upper()),
    ):
        assert public == made.public
        assert public.verifies(signature, b"message")
        assert not public.verifies(signature, b"massage")
        assert not public.verifies(bytes(64), b"message")


def test_no_key_is_overwritten(tmp_path: Path) -> None:
    generate_key(tmp_path / "trainer.pem")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for name in ("trainer.pem", "trainer.key"):  # the second shares the public file
        with pytest.raises(BundleError, match="exists already"):
            generate_key(tmp_path / name)
    with pytest.raises(BundleError, match="choose another name"):
        generate_key(tmp_path / "other.pub")

    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_key_shows_its_name_and_never_its_secret(tmp_path: Path) -> None:
    key = generate_key(tmp_path / "trainer.pem")

    assert str(key.public) == f"{key.public.key_id} (trainer.pub)"
    assert key.public.key_id.startswith("ed25519:")
    assert "PrivateKey" not in repr(key)


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    generate_key(tmp_path / "trainer.pem")
    other = X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    for name, content in (("empty", b""), ("text", b"key\n"), ("x25519", other)):
        path = tmp_path / name
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(BundleError, match=name):
            read_key(path)
        with pytest.raises(BundleError, match="holds no public key"):
            read_public_key(path)
    with pytest.raises(BundleError, match="absent"):
        read_key(tmp_path / "absent")
    for source in (tmp_path / "absent", "ab" * 31, "zz" * 32, ""):
        with pytest.raises(BundleError, match="neither a readable file nor"):
            read_public_key(source)
    with pytest.raises(BundleError, match="32 bytes; found 31"):
        PublicKey(bytes(31))
