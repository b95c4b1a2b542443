"""Messages about columns that a table does not have."""

from __future__ import annotations

import pandas as pd
import pytest

from astrocast.errors import DatasetNotFoundError, InvalidValueError
from astrocast.events.required import column_of, require_columns, require_names
from astrocast.events.schema import column

TABLE = pd.DataFrame({"z0": [3, 4], "v_area": [20, 30]})


def test_columns_that_exist_are_accepted() -> None:
    require_columns(TABLE, ["z0", "v_area"])
    assert column_of(TABLE, "v_area").tolist() == [20, 30]


def test_one_missing_column_is_named_with_its_purpose_and_the_others() -> None:
    with pytest.raises(DatasetNotFoundError) as error:
        require_columns(TABLE, ["z0", "mask"], "to draw the event map")
    assert str(error.value) == (
        "the table has no column 'mask', needed to draw the event map;"
        " it has z0, v_area"
    )


def test_several_missing_names_are_listed_once_each() -> None:
    with pytest.raises(InvalidValueError) as error:
        require_names(["a", "b", "a"], [], "the cohort", error=InvalidValueError)
    assert str(error.value) == "the cohort has no columns 'a', 'b'; it has none"


def test_an_unknown_column_of_the_base_table_is_refused() -> None:
    with pytest.raises(
        DatasetNotFoundError, match="the event table has no column 'v_lenght'"
    ):
        column("v_lenght")
