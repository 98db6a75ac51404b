"""The demo's samples are what they say they are, by libmagic and by our own inspection."""

import hashlib
import io
import zipfile
from pathlib import Path

import pikepdf
import pytest

from devstack.courier import announced
from devstack.samples import Conduct, Sample, from_file, samples
from pipeline.inspection import magic
from pipeline.inspection.look import look

SAMPLES = samples()
# The SHA-256 of the EICAR test file, as its publisher gives it: the string itself stands nowhere.
EICAR_SHA256 = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"
HONEST = [sample for sample in SAMPLES if sample.expected == "available"]
SUFFIXES = {Path(sample.filename).suffix: sample for sample in HONEST}
OFFICE = {".docx", ".xlsx", ".pptx", ".odt"}


def named(name: str) -> Sample:
    return next(sample for sample in SAMPLES if sample.name == name)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_an_honest_sample_is_what_its_extension_says(suffix: str) -> None:
    sample = SUFFIXES[suffix]
    report = look(io.BytesIO(sample.body), filename=sample.filename, content_type=sample.content_type)
    assert (report.media_type, report.findings) == (sample.content_type, ())


@pytest.mark.parametrize("suffix", sorted(set(SUFFIXES) - OFFICE))
def test_libmagic_says_so_too(suffix: str) -> None:
    sample = SUFFIXES[suffix]
    assert magic.media_type(sample.body[:8192]) == sample.content_type


@pytest.mark.parametrize("suffix", sorted(OFFICE))
def test_an_office_sample_is_a_sound_zip(suffix: str) -> None:
    assert zipfile.ZipFile(io.BytesIO(SUFFIXES[suffix].body)).testzip() is None


def test_the_statement_is_a_pdf_that_can_be_read() -> None:
    with pikepdf.open(io.BytesIO(named("Statement Q3 2026").body)) as statement:
        assert b"Statement of account" in statement.pages[0].Contents.read_bytes()


def test_the_second_statement_differs_and_follows_the_first() -> None:
    first, second = (sample for sample in SAMPLES if sample.name == "Statement Q3 2026")
    assert (first.version, first.follows) == (1, False)
    assert (second.version, second.follows) == (2, True)
    assert first.body != second.body


def test_the_virus_is_the_eicar_test_file_to_the_byte() -> None:
    assert hashlib.sha256(named("Bank details").body).hexdigest() == EICAR_SHA256


def test_the_eicar_string_stands_in_one_piece_in_no_source_file() -> None:
    eicar = named("Bank details").body
    root = Path(__file__).resolve().parents[2]
    folders = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    assert len(sources) > 50
    assert [path for path in sources if eicar in path.read_bytes()] == []


def test_the_disguised_program_is_a_program() -> None:
    report = named("Annual report")
    assert report.content_type == "application/pdf"
    assert "executable" in magic.media_type(report.body)


def test_the_liar_announces_the_hash_of_other_bytes() -> None:
    liar = next(sample for sample in SAMPLES if sample.conduct is Conduct.OTHER_BYTES)
    assert announced(liar)["sha256"] != hashlib.sha256(liar.body).hexdigest()


def test_an_honest_sender_announces_size_and_hash_of_its_bytes() -> None:
    sample = named("Passport")
    said = announced(sample)
    assert said["size"] == len(sample.body)
    assert said["sha256"] == hashlib.sha256(sample.body).hexdigest()


def test_there_are_at_least_ten_samples_of_all_the_kinds_that_must_be_shown() -> None:
    assert len(SAMPLES) >= 10
    assert set(SUFFIXES) >= {".pdf", ".docx", ".xlsx", ".png", ".tiff", ".csv"}


def test_a_file_of_ones_own_goes_as_other_and_by_its_extension(tmp_path: Path) -> None:
    paper = tmp_path / "My letter.DOCX"
    paper.write_bytes(b"whatever")
    sample = from_file(paper)
    assert (sample.name, sample.doc_type, sample.expected) == (
        "My letter.DOCX",
        "other",
        "available",
    )
    assert sample.content_type.endswith("wordprocessingml.document")


def test_an_unknown_extension_is_sent_as_bytes_and_left_to_the_service(tmp_path: Path) -> None:
    (tmp_path / "thing.xyz").write_bytes(b"x")
    assert from_file(tmp_path / "thing.xyz").content_type == "application/octet-stream"
