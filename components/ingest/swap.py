"""Puts a folder in the place of another in one step, so that a kill leaves the old one or the new one."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

from components.core.files import fsync

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def swap(new: Path, target: Path) -> None:
    """`new` becomes `target`; what was there is removed. Both lie on one file system."""
    if not target.exists():
        new.replace(target)
    elif _exchange(new, target):
        shutil.rmtree(new, ignore_errors=True)
    else:
        # A kill between these two leaves the old folder under its hidden name: `restore` brings it back.
        aside = _aside(target)
        target.replace(aside)
        new.replace(target)
        shutil.rmtree(aside, ignore_errors=True)
    fsync(target.parent)


def restore(target: Path) -> None:
    """Undoes a swap that was killed halfway, on file systems that cannot exchange."""
    aside = _aside(target)
    if aside.is_dir():
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.replace(target)


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.replaced")


def _exchange(one: Path, other: Path) -> bool:
    """Whether the kernel and the file system could do it."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    done = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return int(done) == 0
