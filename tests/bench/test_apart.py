"""What the bench of places and of the queue apart sends."""

from bench import apart


def test_a_body_is_as_long_as_it_shall_be_plain_text_and_unlike_any_other() -> None:
    for size in (1, 2000, 3 * apart.MIB + 1):
        assert len(apart.body(size, 1)) == size
    assert apart.body(2000, 1) != apart.body(2000, 1)
    assert apart.body(2000, 1).isascii()


def test_its_large_files_are_large_and_the_other_stack_knows_none_and_no_places() -> None:
    options = apart._parser().parse_args([])
    assert options.megabytes * apart.MIB >= 50 * 1024 * 1024
    assert int(apart.STACKS["neither"]["LARGE_FILE_BYTES"]) > options.megabytes * apart.MIB
    assert int(apart.STACKS["neither"]["OWNER_PLACES"]) > options.waiting
