"""What a person at a terminal sees: password prompts and progress."""

import os
import time

import pytest
from harness import DONE, KEY, Coffer, Terminal

# Argon2id takes its time under sanitizers.
pytestmark = pytest.mark.native
PROMPTED = {"COFFER_KEY_FILE": None}


def ask(coffer, *args, answers):
    terminal = Terminal(coffer, *args, env=PROMPTED)
    for i, answer in enumerate(answers):
        terminal.text = b""
        terminal.read(until=b":")
        assert not terminal.is_echoing()
        terminal.send(answer + b"\n")
        if i + 1 < len(answers):
            time.sleep(0.1)
    terminal.text = b""
    terminal.read()
    text = terminal.text
    return terminal.close(), text


def test_init_asks_twice_and_later_commands_once(empty):
    code, text = ask(empty, "init", answers=[b"correct horse", b"correct horse"])
    assert code == DONE, text
    assert b"correct horse" not in text
    code, text = ask(empty, "snapshots", answers=[b"correct horse"])
    assert code == DONE, text
    code, text = ask(empty, "snapshots", answers=[b"wrong horse"])
    assert code == KEY and b"coffer: " in text


def test_init_refuses_two_different_answers(empty):
    code, text = ask(empty, "init", answers=[b"one password", b"another password"])
    assert code in (KEY, 2), text
    assert not (empty.path / "config").exists()


def test_an_interrupted_prompt_restores_the_terminal(empty):
    terminal = Terminal(empty, "init", env=PROMPTED)
    terminal.read(until=b":")
    terminal.send(b"\x03")
    terminal.read()
    assert terminal.close() in (130, -2)


def test_without_terminal_the_error_says_what_to_give(coffer):
    line = coffer.fails("snapshots", code={KEY, 2, 1}, env=PROMPTED)
    assert "password" in line.lower()


def slow_source(coffer):
    path = coffer.work / "source"
    path.mkdir()
    for i in range(6):
        (path / f"file{i}").write_bytes(os.urandom(30 << 20))
    return path


@pytest.mark.slow
def test_progress_is_drawn_on_a_terminal_and_erased(coffer):
    source = slow_source(coffer)
    terminal = Terminal(coffer, "backup", str(source), size=(24, 60))
    terminal.read()
    text = terminal.text
    assert terminal.close() == DONE
    assert b"\r" in text and b"/s" in text
    redrawn = [part for part in text.replace(b"\x1b[K", b"").split(b"\r") if part and b"\n" not in part]
    assert redrawn
    assert all(len(part.decode("utf-8", "replace")) <= 60 for part in redrawn), redrawn
    assert b"snapshot" in b"".join(text.splitlines()[-4:])


@pytest.mark.slow
def test_quiet_draws_nothing(coffer):
    source = slow_source(coffer)
    terminal = Terminal(coffer, "-q", "backup", str(source))
    terminal.read()
    assert terminal.close() == DONE
    assert terminal.text == b""


@pytest.mark.parametrize("how", ["file", "command", "environment"])
def test_a_password_comes_from_many_places(empty, how):
    env = {"COFFER_KEY_FILE": None}
    if how == "file":
        file = empty.work / "password"
        file.write_text("secret words\n")
        file.chmod(0o600)
        env["COFFER_PASSWORD_FILE"] = file
    elif how == "command":
        env["COFFER_PASSWORD_COMMAND"] = "echo secret words; echo second line"
    else:
        env["COFFER_PASSWORD"] = "secret words"
    empty.run("init", env=env)
    empty.run("snapshots", env={"COFFER_KEY_FILE": None, "COFFER_PASSWORD": "secret words"})
    empty.fails("snapshots", code=KEY, env={"COFFER_KEY_FILE": None, "COFFER_PASSWORD": "other words"})
    assert isinstance(empty, Coffer)
