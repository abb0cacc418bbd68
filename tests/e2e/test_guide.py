"""Every ```sh block of the guide and of the README runs, in order, page by page, in a scratch folder."""

import os
import re
import subprocess

import pytest
from harness import PROGRAM, TOP

PAGES = [TOP / "README.md", *sorted((TOP / "docs/guide").glob("*.md"))]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)


def server_of(page, request, home):
    """What the page's commands find its server by: libpq's variables, and the options of MySQL's clients."""
    if page.name == "postgres.md":
        return request.getfixturevalue("postgres").variables
    if page.name == "mysql.md":
        v = request.getfixturevalue("mariadb").variables
        (home / ".my.cnf").write_text(f"[client]\nuser={v['MYSQL_USER']}\npassword={v['MYSQL_PWD']}\n"
                                      f"socket={v['MYSQL_UNIX_PORT']}\n")
    return {}


@pytest.mark.native
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_page_runs_as_printed(page, tmp_path, request):
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert blocks, f"{page.name} shows no command"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/coffer").symlink_to(PROGRAM)
    env = {k: v for k, v in os.environ.items() if not k.startswith("COFFER_")}
    env.update(PATH=f"{tmp_path}/bin:{env['PATH']}", HOME=str(tmp_path), LC_ALL="C.UTF-8")
    env.update(server_of(page, request, tmp_path))
    # -v: the page's line is in the output when one fails.
    done = subprocess.run(["bash", "-euo", "pipefail", "-v", "-c", "\n".join(blocks)], cwd=tmp_path, env=env,
                          capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])


def test_links_between_pages_lead_somewhere():
    pages = [*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md"), *(TOP / "tests").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(TOP)} links to {target}"


def test_the_readme_lists_every_exit_status():
    rows = dict(re.findall(r"^\| (\d) \| (.+) \|$", (TOP / "README.md").read_text(encoding="utf-8"), re.M))
    codes = (TOP / "base/err.def").read_text(encoding="utf-8")
    statuses = set(re.findall(r"^CF_ERR\(\w+, \d+, (\d+),", codes, re.M))
    assert set(rows) == statuses | {"0"}
