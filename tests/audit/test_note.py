"""Signing notes and opening them: published examples, our own, several keys, and what is no note."""

import base64

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from audit import note, verify
from tests.audit import exports
from tests.audit.exports import KEY, ORIGIN, OTHER, SIGNER

# The example of C2SP signed-note, "Verifier keys".
SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_NOTE = (
    "This is an example message.\n\n"
    "\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# The example of golang.org/x/mod/sumdb/note, with its signing key: what follows the kind of key in it is the seed.
GO_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = (
    f"{GO_TEXT}\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
OTHER_KEY = verify.VerifierKey.parse(OTHER.vkey)
TEXT = note.body(ORIGIN, 5, bytes(32))


@pytest.mark.parametrize(("key", "example"), [(SPEC_KEY, SPEC_NOTE), (GO_KEY, GO_NOTE)])
def test_the_published_notes_open_and_an_altered_one_does_not(key: str, example: str) -> None:
    known = verify.VerifierKey.parse(key)
    assert verify.open_note(example, [known]) == example.partition("\n\n")[0] + "\n"
    with pytest.raises(verify.Broken, match=r"signature of .* is wrong"):
        verify.open_note(example.replace("is", "was", 1), [known])


def test_we_sign_the_published_note_byte_for_byte() -> None:
    signer = note.Signer("PeterNeumann", GO_SEED)
    assert (signer.vkey, signer.id.hex()) == (GO_KEY, "c74f20a3")
    assert note.signed(GO_TEXT, [signer]) == GO_NOTE


def test_a_checkpoint_opens_to_what_was_signed() -> None:
    text = note.signed(TEXT, [SIGNER])
    assert text.startswith(f"{ORIGIN}\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u2014 {ORIGIN} ")
    assert verify.open_checkpoint(text, [KEY]) == verify.Checkpoint(ORIGIN, 5, bytes(32), text)


def test_a_seed_is_not_shown() -> None:
    assert "seed" not in repr(SIGNER)


# --- keys -------------------------------------------------------------------------------------------------------------
def test_a_key_reads_back_what_it_was_written_from() -> None:
    assert verify.VerifierKey(ORIGIN, SIGNER.id, SIGNER.public) == KEY
    assert verify.VerifierKey.parse(f" {SIGNER.vkey}\n") == KEY  # as it is copied out of a mail
    assert str(KEY) == f"{ORIGIN}+{SIGNER.id.hex()}"


def vkey(name: str = ORIGIN, public: bytes = SIGNER.public, kind: bytes = b"\x01") -> str:
    """A key's text with the id that belongs to it."""
    return f"{name}+{verify.key_id(name, public).hex()}+{base64.b64encode(kind + public).decode()}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "name",
        "name+c74f20a3",
        "name+c74f20a3+",
        f"{ORIGIN}+00000000+{SIGNER.vkey.split('+', 2)[2]}",
        SIGNER.vkey.replace("rooms", "r00ms"),
        SIGNER.vkey[:-4],
        SIGNER.vkey + "AAAA",
        SIGNER.vkey.replace("+", "++", 1),
        vkey(""),
        vkey("a b"),
        vkey("a\u00a0b"),
        vkey(kind=b"\x04"),
        vkey(kind=b""),
        vkey(public=SIGNER.public[:31]),
        vkey(public=b"\x01" + bytes(31)),  # of small order: everything would verify
        vkey(public=b"\x02" + bytes(31)),  # not on the curve
        vkey(public=b"\xff" * 32),
        "\ud800+c74f20a3+AQ==",
        "\u0000+c74f20a3+\u0000",
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(verify.Broken, match="key"):
        verify.VerifierKey.parse(text)


# --- who has signed ---------------------------------------------------------------------------------------------------
def test_while_a_key_is_changed_both_sign_and_either_opens() -> None:
    text = note.signed(TEXT, [SIGNER, OTHER])
    for keys in ([KEY], [OTHER_KEY], [KEY, OTHER_KEY], [KEY, KEY]):
        assert verify.open_checkpoint(text, keys).size == 5


def test_one_wrong_signature_of_a_known_key_spoils_the_note_though_another_is_right() -> None:
    both, wrong = note.signed(TEXT, [SIGNER, OTHER]), note.signed("x\n", [OTHER]).splitlines(keepends=True)[-1]
    spoiled = "".join([*both.splitlines(keepends=True)[:-1], wrong])
    with pytest.raises(verify.Broken, match=r"signature of rooms.example/log.* is wrong"):
        verify.open_checkpoint(spoiled, [KEY, OTHER_KEY])
    assert verify.open_checkpoint(spoiled, [KEY]).size == 5  # lines of keys that nobody named are passed over


def test_a_key_that_has_not_signed_opens_nothing() -> None:
    for signer in (OTHER, note.Signer("other.example/log", SIGNER.seed)):
        with pytest.raises(verify.Broken, match=r"not signed by any key that you named, which are .*log"):
            verify.open_checkpoint(note.signed(TEXT, [SIGNER]), [verify.VerifierKey.parse(signer.vkey)])
    with pytest.raises(verify.Broken, match="not signed"):
        verify.open_checkpoint(note.signed(TEXT, [SIGNER]), [])


def test_a_key_does_not_speak_for_another_log() -> None:
    text = note.signed(note.body("other.example/log", 5, bytes(32)), [SIGNER])
    with pytest.raises(verify.Broken, match=r"speaks for 'other.example/log', but is signed by rooms.example/log"):
        verify.open_checkpoint(text, [KEY])


def test_sixteen_other_signatures_of_any_kind_are_passed_over() -> None:
    others = [note.Signer(f"witness.example/{number}", bytes(32)) for number in range(16)]
    text = (
        note.signed(TEXT, [*others, SIGNER])
        + "\u2014 witness.example/x "
        + base64.b64encode(bytes(2424)).decode()
        + "\n"
    )
    assert verify.open_checkpoint(text, [KEY]).size == 5


# --- what is no note, no checkpoint -----------------------------------------------------------------------------------
GOOD = note.signed(TEXT, [SIGNER])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "\n\n",
        TEXT,
        GOOD[:-1],
        GOOD + "\n",
        GOOD + "x\n",
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n\n", "\n"),
        GOOD.replace("\n\n", "\n\n\n"),
        GOOD.replace("\u2014", "-"),
        GOOD.replace("\u2014 ", "\u2014  "),
        GOOD.replace("\u2014 ", "\u2014\u00a0"),
        GOOD.replace(f"\u2014 {ORIGIN} ", "\u2014  "),
        GOOD.replace(f"\u2014 {ORIGIN} ", f"\u2014 {ORIGIN} x "),
        GOOD.replace(f"\u2014 {ORIGIN} ", f"\u2014 {ORIGIN}+ "),
        GOOD[:-3] + "\n",
        GOOD[:-2] + "==\n",
        GOOD[:-3] + "B=\n" if GOOD[-3] != "B" else GOOD[:-3] + "C=\n",
        GOOD + f"\u2014 {ORIGIN} AAAA\n",
        GOOD + "\u2014 x y\n" * 200,
        GOOD.replace(ORIGIN, "\ud800"),
        "\x00" + GOOD,
        GOOD.replace("rooms", "r\toms"),
    ],
)
def test_what_is_no_note_or_not_the_one_that_was_signed_is_refused(text: str) -> None:
    with pytest.raises(verify.Broken):
        verify.open_checkpoint(text, [KEY])


@pytest.mark.parametrize("size", ["", "-1", "+1", "01", "1e3", "1.0", " 1", "1 ", "0x1", "\u0661", "\u00b9", "9" * 30])
def test_a_size_is_written_in_one_way(size: str) -> None:
    text = note.signed(f"{ORIGIN}\n{size}\n{base64.b64encode(bytes(32)).decode()}\n", [SIGNER])
    with pytest.raises(verify.Broken, match="not a checkpoint"):
        verify.open_checkpoint(text, [KEY])


@pytest.mark.parametrize("root", ["", "AAAA", "A" * 43, "A" * 42 + "B=", "A" * 43 + "=\n\nmore", "_" * 43 + "="])
def test_a_root_is_32_bytes_in_the_one_base64_of_them(root: str) -> None:
    with pytest.raises(verify.Broken):
        verify.open_checkpoint(note.signed(f"{ORIGIN}\n5\n{root}\n", [SIGNER]), [KEY])


def test_a_checkpoint_of_no_events_has_the_root_over_none() -> None:
    assert verify.open_checkpoint(exports.checkpoint([]).note, [KEY]).size == 0
    with pytest.raises(verify.Broken, match="no events"):
        verify.open_checkpoint(note.signed(note.body(ORIGIN, 0, bytes(32)), [SIGNER]), [KEY])


def test_lines_that_a_later_version_adds_are_no_hindrance() -> None:
    assert verify.open_checkpoint(note.signed(f"{TEXT}more\n", [SIGNER]), [KEY]).size == 5


# --- what we sign -----------------------------------------------------------------------------------------------------
def urlsafe(seed: bytes) -> str:
    """A key as the setting has it."""
    return base64.urlsafe_b64encode(seed).decode()


def test_every_configured_key_signs(settings: Settings) -> None:
    settings.AUDIT_SIGNING_KEYS = [urlsafe(SIGNER.seed), urlsafe(b"\xff" * 32)]
    signers = note.signers(ORIGIN)
    assert signers == [SIGNER, note.Signer(ORIGIN, b"\xff" * 32)]
    assert note.signed(TEXT, signers).count("\n\u2014 ") == 2


def test_a_process_without_a_key_says_so(settings: Settings) -> None:
    settings.AUDIT_SIGNING_KEYS = []
    with pytest.raises(note.NoSigningKey):
        note.signers(ORIGIN)
    with pytest.raises(note.NoSigningKey):
        note.signed(TEXT, [])


@pytest.mark.parametrize(
    "key", ["", "x", urlsafe(bytes(31)), urlsafe(bytes(33)), urlsafe(bytes(32)) + "!", "\u00e9" * 44]
)
def test_a_malformed_key_is_not_signed_with(settings: Settings, key: str) -> None:
    settings.AUDIT_SIGNING_KEYS = [urlsafe(SIGNER.seed), key]
    with pytest.raises(ImproperlyConfigured, match="AUDIT_SIGNING_KEYS"):
        note.signers(ORIGIN)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "a\x00b"])
def test_a_name_that_no_key_can_have_is_not_signed_with(settings: Settings, name: str) -> None:
    settings.AUDIT_SIGNING_KEYS = [urlsafe(SIGNER.seed)]
    with pytest.raises(ImproperlyConfigured, match="name of a log"):
        note.signers(name)


@pytest.mark.parametrize(
    ("origin", "size", "root"), [("", 1, bytes(32)), ("a\nb", 1, bytes(32)), ("a", -1, bytes(32)), ("a", 1, b"")]
)
def test_what_no_verifier_would_take_is_not_put_into_words(origin: str, size: int, root: bytes) -> None:
    with pytest.raises(ValueError, match="no checkpoint"):
        note.body(origin, size, root)
