"""Several programs and threads at one repository."""

import os
import pathlib
import shutil

import pytest
import trees
from harness import DONE


@pytest.mark.threads
def test_two_backups_at_once_both_count(coffer, tmp_path):
    shared = os.urandom(3 << 20)
    processes = []
    for name in ("a", "b"):
        source = trees.small(coffer.work / name, seed=ord(name))
        (source / "shared").write_bytes(shared)
        processes.append(coffer.start("backup", "--json", source))
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == DONE, err
    assert len(coffer.snapshots()) == 2
    coffer.check()
    for name in ("a", "b"):
        coffer.restore("latest", tmp_path / name, "--source", f"files:{coffer.work / name}")
        trees.assert_equal(coffer.work / name, tmp_path / name)


@pytest.mark.threads
def test_reading_goes_on_while_a_backup_runs(coffer, tmp_path):
    source = trees.small(coffer.work / "source")
    first = coffer.backup(source)["snapshot"]
    process = coffer.start("backup", "stream:big", "--", "head", "-c", str(40 << 20), "/dev/urandom")
    runs = 0
    while process.poll() is None or runs < 2:
        coffer.restore(first, tmp_path / str(runs))
        trees.assert_equal(source, tmp_path / str(runs))
        coffer.run("check")
        runs += 1
        if runs > 20:
            break
    process.communicate(timeout=120)
    assert process.returncode == DONE
    coffer.check()


@pytest.mark.threads
@pytest.mark.parametrize("n", [1, 2, 5])
def test_any_number_of_threads_gives_the_same_chunks(coffer, tmp_path, n):
    source = trees.small(coffer.work / "source")
    (source / "rows").write_bytes(trees.rows(3, 50_000))
    first = coffer.backup("--threads", n, source)
    again = coffer.backup("--threads", 8 - n, "--ignore-times", "--parent", "none", source)
    assert again["chunks_new"] == 0 and first["chunks_new"] > 0
    coffer.restore("latest", tmp_path / "out", "--threads", n, "--verify")
    trees.assert_equal(source, tmp_path / "out")


def test_two_hosts_with_caches_of_their_own_share_chunks(coffer):
    data = os.urandom(1 << 20)
    coffer.backup("stream:x", "--host", "one", input=data)
    coffer.cache = coffer.folder / "other cache"
    second = coffer.backup("stream:x", "--host", "two", input=data)
    assert second["chunks_new"] == 0


@pytest.mark.parametrize("seed", range(4))
def test_chunk_stored_whole_by_one_writer_and_as_delta_by_another_stays_a_base(coffer, tmp_path, seed):
    """Two hosts that do not see each other store the same chunks, one of them as deltas; the other's next backup uses its whole
    copies as bases. However the two meet in an index built anew, everything is readable."""
    first, second = coffer.copy(tmp_path / "first"), coffer.copy(tmp_path / "second")
    older = trees.rows(seed, 3000)
    middle = trees.change_rows(older, 1, 0.5)
    first.backup("stream:table", input=middle)
    second.backup("stream:other", input=older)
    assert second.backup("stream:other", input=middle)["chunks_delta"] > 0
    shutil.copytree(second.path, first.path, dirs_exist_ok=True,
                    ignore=lambda folder, names: [name for name in names if (
                        first.path / pathlib.Path(folder).relative_to(second.path) / name).is_file()])
    newer = trees.change_rows(middle, 2, 0.5)
    assert first.backup("stream:table", input=newer)["chunks_delta"] > 0
    first.forget_cache()
    first.run("check", "--read-data")
    assert first.run("dump", "latest:table", "--source", "stream:table").stdout == newer


@pytest.mark.threads
def test_check_beside_backups_reports_no_damage(coffer, tmp_path):
    """What a backup stores while the check runs is not missing because it came after a listing."""
    source = trees.small(coffer.work / "source")
    writer = coffer.with_cache(tmp_path / "other-cache")
    for round in range(12):
        (source / "new").write_bytes(os.urandom(300000))
        process = writer.start("backup", "-q", source)
        while True:
            coffer.check(read=round % 2 == 0)
            if process.poll() is not None:
                break
        assert process.communicate()[1] == b"" and process.returncode == DONE
