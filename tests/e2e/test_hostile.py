"""A restore keeps to its folder, whatever stands there."""

import os

import pytest
import trees
from harness import DONE, FAILED, PARTIAL


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_planted_link_to_a_folder_is_not_followed(sample, tmp_path, overwrite):
    outside = tmp_path / "outside"
    outside.mkdir()
    target = tmp_path / "out"
    target.mkdir()
    os.symlink(outside, target / "a")
    extra = ["--overwrite"] if overwrite else []
    sample.restore(sample.first, target, *extra, code={DONE, FAILED})
    assert os.listdir(outside) == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_planted_link_to_a_file_is_not_written_through(sample, tmp_path, overwrite):
    outside = tmp_path / "precious"
    outside.write_bytes(b"precious")
    target = tmp_path / "out"
    target.mkdir()
    os.symlink(outside, target / "one")
    extra = ["--overwrite"] if overwrite else []
    result = sample.restore(sample.first, target, *extra, code={DONE, FAILED})
    assert outside.read_bytes() == b"precious"
    if overwrite:
        assert result.code == DONE
        trees.assert_equal_below(sample.before, target)


def test_a_planted_hard_link_is_not_written_through(sample, tmp_path):
    outside = tmp_path / "precious"
    outside.write_bytes(b"precious")
    target = tmp_path / "out"
    target.mkdir()
    os.link(outside, target / "one")
    sample.restore(sample.first, target, "--overwrite")
    assert outside.read_bytes() == b"precious"


def test_a_fifo_in_the_way_does_not_hang(sample, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    os.mkfifo(target / "one")
    sample.fails("restore", sample.first, "--to", target, code=FAILED, names="one")
    sample.restore(sample.first, target, "--overwrite", timeout=20)
    trees.assert_equal_below(sample.before, target)


def test_a_tar_with_dots_stays_inside(coffer, tmp_path):
    import io
    import tarfile

    archive = coffer.work / "evil.tar"
    with tarfile.open(archive, "w") as tar:
        for name in ("good", "../evil", "a/../../evil2", "/absolute"):
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"evil"))
    coffer.run("backup", f"tar:{archive}", code={DONE, PARTIAL})
    coffer.restore("latest", tmp_path / "deep/er/out")
    names = sorted(p.name for p in (tmp_path / "deep").rglob("*") if p.is_file())
    assert "good" in names
    assert not list(tmp_path.glob("evil*")) and not list((tmp_path / "deep").glob("evil*"))


def test_setuid_and_owner_survive_together(coffer, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    source = coffer.work / "source"
    source.mkdir()
    for mode in (0o4755, 0o2755, 0o6711, 0o1644):
        path = source / f"{mode:o}"
        path.write_bytes(b"x")
        os.chown(path, 1000, 1000)
        path.chmod(mode)
    coffer.backup(source)
    coffer.restore("latest", tmp_path / "out")
    trees.assert_equal(source, tmp_path / "out")
