"""Names of what an output holds."""

from __future__ import annotations

from clipping.dataset.layout import record_name


def test_record_names_stay_inside_and_within_limits() -> None:
    """No name leads out of the output, none is too long, and different keys differ."""
    long = "L" * 250 + ".mp4"
    names = [record_name(f"p/{k}", ".json") for k in (long, long[1:] + "x", "../x", "a/../../b")]
    assert len(set(names)) == 4
    for name in names:
        assert ".." not in name.split("/")
        assert all(len(part.encode()) <= 255 for part in name.split("/"))
