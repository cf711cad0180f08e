"""What compose is told of a stack. The containers themselves are tested in tests/containers/."""

from __future__ import annotations

import os
import re
from pathlib import Path

from deploy import docker
from deploy.config import StackSettings
from deploy.docker import Containers
from deploy.owner import Owner
from tests.stack import ROOT


def told(users: Path, owner: Owner, bind: str = "127.0.0.1") -> dict[str, str]:
    settings = StackSettings().model_copy(update={"users": users, "bind": bind, "port": 2525})
    return Containers(users.parent / "run", owner, lambda _: None)._for_compose(settings, "tag")


def test_every_variable_of_the_compose_file_is_given(tmp_path: Path) -> None:
    named = set(re.findall(r"\$\{(\w+)\}", (ROOT / "deploy" / "compose.yaml").read_text()))
    assert named == set(told(tmp_path / "users.txt", Owner(1, 2)))
    containers = Containers(tmp_path, Owner(1, 2), lambda _: None)
    assert named <= containers._without_settings().keys() - os.environ.keys()


def test_the_store_is_the_caller_and_only_root_s_other_services_are_nobody(tmp_path: Path) -> None:
    mine = told(tmp_path / "users.txt", Owner(1000, 100))
    assert (mine["CORREIO_STORE_USER"], mine["CORREIO_USER"]) == ("1000:100", "1000:100")
    root = told(tmp_path / "users.txt", Owner(0, 0))
    assert (root["CORREIO_STORE_USER"], root["CORREIO_USER"]) == ("0:0", "10001:10001")


def test_a_link_to_the_users_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "people.txt").touch()
    (tmp_path / "users.txt").symlink_to("real/people.txt")
    given = told(tmp_path / "users.txt", Owner(1, 1))
    assert given["CORREIO_USERS_FOLDER"] == str(tmp_path / "real")
    assert given["CORREIO_USERS_NAME"] == "people.txt"


def test_an_ipv6_address_is_published_in_brackets(tmp_path: Path) -> None:
    assert told(tmp_path / "users.txt", Owner(1, 1), bind="::1")["CORREIO_PUBLISH"] == "[::1]:2525"


def test_a_line_from_inside_names_the_paths_of_outside(tmp_path: Path) -> None:
    stack = Containers(tmp_path, Owner(0, 0), lambda _: None)
    settings = StackSettings().model_copy(update={"users": tmp_path / "u.txt", "mailboxes": tmp_path / "boxes"})
    (tmp_path / "poison").mkdir()
    (tmp_path / "journal").mkdir()
    line = "store: /correio/users/u.txt:3: bruno: no @; /correio/mailboxes/x"
    remembered = stack.prepare(settings)
    assert docker._as_outside(line, remembered) == f"store: {tmp_path}/u.txt:3: bruno: no @; {tmp_path}/boxes/x"
