"""Model folders that are not whole, or not the ones that the configuration means: one error before any job, in run and plan."""

from model_folders import FIRST, INDEX, SECOND, WHOLE

from embedgrad.planning.access import look_up
from embedgrad_core.files import folder_fingerprint, missing_files, other_than


def write(folder, files):
    folder.mkdir(parents=True)
    for name, text in files.items():
        if text is not None:
            (folder / name).write_text(text)
    return folder


def test_a_link_to_nowhere_is_no_file(tmp_path):
    folder = write(tmp_path / "copied", WHOLE | {"tokenizer.json": None})
    (folder / "tokenizer.json").symlink_to(tmp_path / "blobs/gone")
    assert missing_files(folder) == ["tokenizer.json (nor tokenizer.model, nor vocab.json with merges.txt)"]
    (folder / "tokenizer.model").write_text("a vocabulary")
    assert missing_files(folder) == []
    # It is fingerprinted all the same, so that it cannot be taken for a copy without it.
    found = look_up("mine", {"folder": "x", "sha256": "sha256:0"}, str(folder))
    assert found.where == ""
    assert (
        found.missing == f"{folder / 'tokenizer.json'}: cannot be read (No such file or directory); take a whole copy."
    )


def test_a_hub_s_cache_with_a_broken_index_is_not_taken_for_a_whole_copy(tmp_path, monkeypatch):
    snapshot = write(tmp_path / "cached", WHOLE | {"model.safetensors": None, "model.safetensors.index.json": "{"})

    def cached(hub_id, file, revision):
        return str(snapshot / file) if (snapshot / file).exists() else None

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", cached)
    assert "not cached" in look_up("mine", {"hub": "me/mine"}, None, offline=True).missing
    (snapshot / "model.safetensors.index.json").write_text(INDEX["model.safetensors.index.json"])
    for shard in (FIRST, SECOND):
        assert "not cached" in look_up("mine", {"hub": "me/mine"}, None, offline=True).missing
        (snapshot / shard).write_text("weights")
    assert look_up("mine", {"hub": "me/mine"}, None, offline=True).where == "cached"


def test_a_folder_is_known_by_its_weights_or_by_all_its_files():
    hashes = {"config.json": "c" * 64, "model.safetensors": "a" * 64}
    assert other_than(hashes, "a" * 64) is None
    assert other_than(hashes, folder_fingerprint(hashes)) is None
    assert other_than(hashes, "b" * 64) == "a" * 64
    # Another configuration is another folder, and the same weights.
    changed = hashes | {"config.json": "d" * 64}
    assert other_than(changed, "a" * 64) is None
    assert other_than(changed, folder_fingerprint(hashes)) == folder_fingerprint(changed)
    assert other_than({}, "a" * 64) == "no model.safetensors"
