"""Files below a directory: on this machine, or where `tf.io.gfile` gets at them.

An address such as `"gs://bucket/logs"` names another file system. TensorFlow is loaded
for these alone: it takes seconds.
"""

from __future__ import annotations

import contextlib
import io
import os
import uuid
from collections.abc import Iterator
from typing import IO, Any

from keras_gradwatch.errors import InvalidArgumentError


def is_address(path: str | os.PathLike[str]) -> bool:
    """Whether a path is on another file system, such as `"gs://bucket/logs"`."""
    return "://" in os.fspath(path)


def join(path: str | os.PathLike[str], *names: str) -> str:
    """A path below another one."""
    if is_address(path):
        return "/".join([os.fspath(path).rstrip("/"), *names])
    return os.path.join(os.fspath(path), *names)


def absolute(path: str | os.PathLike[str]) -> str:
    """The same path, wherever the process goes to."""
    return os.fspath(path) if is_address(path) else os.path.abspath(path)


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file or a directory."""
    if is_address(path):
        return _gfile().exists(os.fspath(path))
    return os.path.exists(path)


def is_directory(path: str | os.PathLike[str]) -> bool:
    """Whether there is a directory."""
    if is_address(path):
        return _gfile().isdir(os.fspath(path))
    return os.path.isdir(path)


def make_directory(path: str | os.PathLike[str]) -> None:
    """Makes a directory, and those above it."""
    if is_address(path):
        _gfile().makedirs(os.fspath(path))
    else:
        os.makedirs(path, exist_ok=True)


def read(path: str | os.PathLike[str]) -> bytes:
    """All of a file."""
    with opened(path) as (file, _):
        return file.read()


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a file."""
    with created(path) as file:
        file.write(data)


@contextlib.contextmanager
def created(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Opens a new file to write bytes to."""
    if is_address(path):
        # Elsewhere a file can't be gone back in, as that of many arrays must be.
        written = io.BytesIO()
        yield written
        with _gfile().GFile(os.fspath(path), "wb") as file:
            file.write(written.getvalue())
    else:
        with open(path, "wb") as file:
            yield file


def remove(path: str | os.PathLike[str]) -> None:
    """Takes a file away."""
    if is_address(path):
        _gfile().remove(os.fspath(path))
    else:
        os.remove(path)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[tuple[IO[bytes], int]]:
    """Opens a file to read bytes.

    Args:
        path: Where it is.

    Yields:
        A tuple `(file, size)`.
    """
    if is_address(path):
        size = _gfile().stat(os.fspath(path)).length
        with _gfile().GFile(os.fspath(path), "rb") as file:
            yield file, size
    else:
        with open(path, "rb") as file:
            yield file, os.fstat(file.fileno()).st_size


def walk(root: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """All files below a directory.

    Args:
        root: The directory.

    Yields:
        The directory of each, relative to the root, and its name.
    """
    start = os.fspath(root)
    if is_address(root):
        for folder, _, names in _gfile().walk(start):
            inner = folder[len(start.rstrip("/")) :].strip("/") or "."
            yield from ((inner, name) for name in names)
        return
    for folder, _, names in os.walk(start):
        for name in names:
            if os.path.isfile(os.path.join(folder, name)):
                yield os.path.relpath(folder, start), name


def assert_writable(name: str, directory: str | os.PathLike[str]) -> None:
    """Makes a directory, and makes sure that files can be written there.

    Args:
        name: Of the argument that holds it.
        directory: The directory.

    Raises:
        InvalidArgumentError: If they can't.
    """
    try:
        make_directory(directory)
        # Nothing else tells: what may be read may be written, or may not.
        probe = join(directory, f".gradwatch-{uuid.uuid4().hex}")
        write(probe, b"Can files be written here?\n")
        remove(probe)
    except Exception as error:  # each file system has its own
        raise InvalidArgumentError(
            f"Argument `{name}` must be a directory in which files can be written. "
            f"{type(error).__name__}: {error}. Received: {name}={directory!r}"
        ) from error


def _gfile() -> Any:
    import tensorflow as tf

    return tf.io.gfile
