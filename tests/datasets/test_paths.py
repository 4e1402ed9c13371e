from radogaga.datasets.paths import data_folder, data_home


def test_the_data_folder_is_the_one_that_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("RADOGAGA_DATA", str(tmp_path))
    assert data_folder() == data_home() == tmp_path


def test_without_a_named_folder_the_home_is_the_cache(monkeypatch):
    monkeypatch.delenv("RADOGAGA_DATA", raising=False)
    assert data_folder() is None
    assert data_home().name == "radogaga"
