"""The policy: read whole or not at all, and what it says of a finding is what becomes of the file."""

from pathlib import Path

import pytest
from pytest_django import Settings

from pipeline import policy, reasons
from pipeline.inspection import findings
from pipeline.inspection.report import Finding, Report

TEXT = policy.SHIPPED.read_text()


def judged(*kinds: str, format: str = "pdf", doc_type: str = "id", size: int = 10) -> policy.Judgement:
    """What the policy in force says of a file in which this was found."""
    report = Report("application/pdf", tuple(Finding(kind) for kind in kinds), format)
    return policy.load().judge(report, doc_type=doc_type, size=size)


@pytest.fixture
def written(tmp_path: Path, settings: Settings) -> Path:
    """A policy of the operator's, in force."""
    path = tmp_path / "policy.toml"
    path.write_text(TEXT)
    settings.POLICY_FILE = str(path)
    return path


def test_nothing_found_goes_on() -> None:
    assert judged() == policy.Judgement("", ())


@pytest.mark.parametrize("kind", findings.KINDS)
def test_every_kind_is_decided_and_every_rejection_has_words(kind: str) -> None:
    judgement = judged(kind)
    assert judgement.reason_code in {"", *reasons.WORDS}
    assert bool(judgement.reason_code) != bool(judgement.flags)


@pytest.mark.parametrize("kind", ["javascript", "external_link", "attachment"])
def test_these_are_flagged_by_default(kind: str) -> None:
    assert judged(kind) == policy.Judgement("", (kind,))


@pytest.mark.parametrize(
    "kind", ["encrypted", "macro", "launch_action", "executable", "embedded_ole", "damaged", "polyglot"]
)
def test_these_are_rejected_by_default(kind: str) -> None:
    assert judged("javascript", kind).reason_code == reasons.OF_FINDING[kind]


def test_words_tell_what_to_do_next() -> None:
    assert "Remove the password and upload it again." in reasons.WORDS["encrypted"]
    assert all(len(words) < 500 and words.endswith(".") for words in reasons.WORDS.values())
    assert all(len(code) <= 16 for code in (reasons.INFECTED, reasons.MALFORMED, reasons.UNSCANNABLE))


def test_another_policy_decides_otherwise(written: Path) -> None:
    written.write_text(
        TEXT.replace('javascript = "flag"', 'javascript = "reject"').replace('macro = "reject"', 'macro = "flag"')
        .replace('[documents.id]\nformats = ["pdf", ', '[documents.id]\nformats = [').replace("1048576000", "100")
    )  # fmt: skip
    assert judged("javascript", doc_type="other").reason_code == "javascript"
    assert judged("macro", doc_type="other").flags == ("macro",)
    assert judged(doc_type="id").reason_code == "type_not_allowed"
    assert judged(doc_type="other", size=101).reason_code == "too_large"


def test_the_digest_tells_two_policies_apart(written: Path) -> None:
    before = policy.load().digest
    assert len(before) == 64
    other = written.with_name("other.toml")
    other.write_text(TEXT + "\n# changed\n")
    assert policy._read(other).digest != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version = 1", "version = 2"),
        ("version = 1", "version ="),
        ("[documents.id]", "[documents.passport]"),
        ('"pdf", ', '"exe", '),
        ("1048576000", '"lots"'),
        ("1048576000", "0"),
        ('macro = "reject"', 'macro = "ignore"'),
        ('macro = "reject"', ""),
        ('macro = "reject"', 'macro = "reject"\nmacros = "reject"'),
        ('encrypted = "reject"', 'encrypted = "flag"'),
        ('unpacked_too_large = "reject"', 'unpacked_too_large = "allow"'),
        ('damaged = "reject"', 'damaged = "allow"'),
    ],
)
def test_a_mistake_stops_the_start(written: Path, old: str, new: str) -> None:
    written.write_text(TEXT.replace(old, new))
    with pytest.raises(policy.Unsound, match=r"policy\.toml"):
        policy.load()


def test_a_file_that_is_not_there_stops_the_start(settings: Settings, tmp_path: Path) -> None:
    settings.POLICY_FILE = str(tmp_path / "none.toml")
    with pytest.raises(policy.Unsound):
        policy.load()
