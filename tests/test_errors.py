import pickle

import pytest

from arrow_labels import DecodeError, MissingExtraError


def test_a_decode_error_says_what_and_where() -> None:
    error = DecodeError("Expected `int`, got `str`", source="a.json", sample_id="s", labelset="gt", path="$.x")
    assert str(error) == "Expected `int`, got `str` - at `$.x` in a.json (sample s, labelset gt)"
    assert (error.source, error.sample_id, error.labelset, error.path) == ("a.json", "s", "gt", "$.x")


@pytest.mark.parametrize(
    "error", [DecodeError("no", source="a", sample_id="b", path="$.c"), MissingExtraError("s3fs", extra="s3")]
)
def test_errors_cross_processes(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
