"""Another user of this machine: `nobody`, as whom only root can act."""

import json
import os
import pwd
from collections.abc import Callable
from typing import Any

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user of this machine, nobody")


def as_nobody(act: Callable[[], Any]) -> Any:
    """What `act` gives, as JSON has it, when `nobody` does it in a process of its own. Fails if it raises."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            user = pwd.getpwnam("nobody")
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            os.chdir("/")
            answer = {"gives": act()}
        except BaseException as error:
            answer = {"raises": repr(error)}
        with os.fdopen(writing, "w", encoding="utf-8") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        answer = json.load(pipe)
    os.waitpid(pid, 0)
    assert "gives" in answer, answer
    return answer["gives"]
