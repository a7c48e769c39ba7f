"""gripline dataset delete, renumber, merge, subset, split, verify."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.judged import judged
from flows.commands.options import Json

if TYPE_CHECKING:
    from components.dataset.edits.delete import Deletion
    from components.dataset.parts import Part

Dataset = Annotated[Path, typer.Argument(metavar="DATASET", help="Folder of a dataset.")]
Either = Annotated[Path, typer.Argument(metavar="DATASET", help="Folder of a dataset or of a manifest.")]
Episodes = Annotated[
    list[str] | None,
    typer.Option("--episode", help="Id of an episode, or its first 6 characters or more; repeatable."),
]
Out = Annotated[Path, typer.Option("--out", help="Folder to write; it must not exist yet.")]
At = Annotated[
    list[str] | None,
    typer.Option("--at", metavar="NAME=PATH", help="Where a member of a manifest lies on this machine."),
]


def add_to(app: typer.Typer) -> None:
    for command in (delete, renumber, merge, subset, split, verify):
        app.command(command.__name__)(command)


def delete(
    dataset: Dataset,
    episodes: Episodes = None,
    where: Annotated[str | None, typer.Option("--where", help="SQL condition: \"site = 'north'\".")] = None,
    reason: Annotated[str, typer.Option(help="Kept in the dataset, beside the ids.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")] = False,
    json: Json = False,
) -> None:
    """Take episodes out for good: their bytes are gone afterwards, the others keep their numbers."""
    from components.core.errors import UsageError
    from components.dataset.edits.delete import delete as delete_episodes
    from components.dataset.edits.delete import plan_deletion
    from components.dataset.manifest import require_tree
    from components.dataset.parts import parts_of
    from components.ingest.stamps import carried
    from flows.output import emit, results_only

    with results_only() as stdout:
        require_tree(dataset)
        ids = _ids(_chosen(parts_of(dataset), episodes or (), where, dataset))
        done = plan_deletion(dataset, ids)
        if not dry_run:
            if not yes and not _somebody_is_there():
                raise UsageError("asks before it deletes, and nobody is there to answer", hint="Add --yes")
            if not yes and not typer.confirm(f"{_told(done, 'will go')}Delete them for good?", err=True):
                raise typer.Exit(1)
            with carried(_cache(), dataset):
                done = delete_episodes(dataset, ids, reason=reason, caches=_caches(dataset))
        word = "would go" if dry_run else "deleted"
        emit(stdout, {**vars(done), "dry_run": dry_run}, as_json=json, text=_told(done, word))


def renumber(dataset: Dataset, json: Json = False) -> None:
    """Close the gaps that deleted episodes left; ids stay, no video is touched."""
    from components.dataset.edits.renumber import renumber as close_gaps
    from components.dataset.manifest import require_tree
    from components.ingest.stamps import carried
    from flows.output import emit, results_only

    with results_only() as stdout:
        require_tree(dataset)
        with carried(_cache(), dataset):
            done = close_gaps(dataset)
        text = f"{done.closed} gaps closed, {done.moved} episodes renumbered, {len(done.data)} data files rewritten"
        emit(stdout, vars(done), as_json=json, text=text if done.closed else "no gap, nothing was changed")


def merge(
    sources: Annotated[
        list[str], typer.Argument(metavar="[NAME=]SRC...", help="Datasets and manifests; NAME: what to call a member.")
    ],
    out: Out,
    at: At = None,
    json: Json = False,
) -> None:
    """Make one manifest of several datasets; no frame is copied, an episode that two of them have counts once."""
    from components.dataset.edits.merge import merge as merge_datasets
    from components.dataset.manifest import places
    from flows.output import emit, results_only

    with results_only() as stdout:
        done = merge_datasets([_named(source) for source in sources], out, at=places(at or ()))
        text = f"{_manifest_text(done.manifest)}\n"
        text += "".join(f"{count} episodes of {name} were there already\n" for name, count in done.doubles.items())
        text += _moved_text(done.manifest.totals["moved_to_val"])
        emit(stdout, {**_manifest(done.manifest), "doubles": done.doubles}, as_json=json, text=text)


def subset(
    dataset: Either,
    out: Out,
    episodes: Episodes = None,
    where: Annotated[str | None, typer.Option("--where", help="SQL condition: \"site = 'north'\".")] = None,
    listed: Annotated[
        Path | None, typer.Option("--list", help="Text file with an id, or how one begins, on each line.")
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="A tree of its own instead of a manifest.")] = False,
    at: At = None,
    json: Json = False,
) -> None:
    """Choose episodes: as a manifest that names them, or as a dataset of their own that keeps their ids."""
    from components.dataset.edits.subset import write_subset
    from components.dataset.manifest import places
    from components.dataset.parts import parts_of
    from flows.output import emit, results_only

    with results_only() as stdout:
        names = [*(episodes or ()), *(_lines(listed) if listed else ())]
        parts = _chosen(parts_of(dataset, places(at or ())), names, where, dataset)
        done = write_subset(parts, out, copy=copy, params={"where": where} if where else {})
        kind = "dataset" if copy else "manifest"
        text = f"{done.episodes} episodes, {done.frames} frames: {kind} {done.digest[:12]} in {out}\n"
        text += _moved_text(done.moved_to_val)
        emit(stdout, {**vars(done), "kind": kind}, as_json=json, text=text)


def split(
    dataset: Either,
    out: Out,
    shares: Annotated[
        list[str] | None, typer.Option("--share", metavar="NAME=SHARE", help="train=0.8 unless given, and val=0.2.")
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="Keep together what agrees in this column: site, robot_id ...")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another split.")] = 1,
    at: At = None,
    json: Json = False,
) -> None:
    """Make a manifest for each share; what is alike never lies in two, and adding episodes later moves none."""
    from components.dataset.edits.split import split as split_dataset
    from components.dataset.manifest import places
    from flows.output import emit, results_only

    with results_only() as stdout:
        parts = split_dataset(dataset, _shares(shares), out, by=by or (), seed=seed, at=places(at or ()))
        text = "\n".join(f"{name}: {_manifest_text(made)}" for name, made in parts.items())
        text += "\n" + _moved_text(sum(made.totals["moved_to_val"] for made in parts.values()))
        emit(stdout, {name: _manifest(made) for name, made in parts.items()}, as_json=json, text=text)


def verify(dataset: Either, at: At = None, json: Json = False) -> None:
    """Compare every byte of a dataset, or of the members of a manifest, with what was written."""
    from components.dataset.manifest import places
    from components.dataset.parts import digest_of, parts_of
    from flows.output import emit, results_only

    with results_only() as stdout:
        parts = parts_of(dataset, places(at or ()))
        for part in parts:
            part.dataset.verify()
        found = {"digest": digest_of(dataset), "episodes": sum(map(len, parts)), "members": [p.name for p in parts]}
        text = f"{found['episodes']} episodes, {len(parts)} {'tree' if len(parts) == 1 else 'trees'}: all as written"
        emit(stdout, found, as_json=json, text=text)


def _cache() -> Path | None:
    """What ingest remembers in the workspace around the current folder; None outside of one."""
    from components.core.errors import UsageError
    from components.core.workspace import find_workspace
    from components.ingest.stamps import CACHE

    try:
        return find_workspace().state / CACHE
    except UsageError:
        return None


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()


def _chosen(parts: Sequence[Part], episodes: Sequence[str], where: str | None, path: Path) -> list[Part]:
    """The episodes that the options name; raises `UsageError` where they name none."""
    from components.core.errors import UsageError
    from components.dataset.edits.choose import chosen_parts
    from components.dataset.select import select

    if bool(episodes) == (where is not None):
        found = "both --episode and --where" if episodes else "no episode is named"
        raise UsageError(found, where=str(path), hint="Give --episode ID (subset: --list FILE), or --where CONDITION")
    if where is None:
        return chosen_parts(parts, episodes, where=str(path))
    known = judged(path, parts, None)
    return select(parts, where, known.path, unjudged=known.reason)


def _ids(parts: Iterable[Part]) -> list[str]:
    from components.dataset.edits.gather import rows_of

    return [name for part in parts for name in rows_of(part, ["episode_id"])["episode_id"].to_pylist()]


def _caches(dataset: Path) -> list[Path]:
    """Where the workspaces that the command and the dataset are in keep decoded frames."""
    from components.core.errors import UsageError
    from components.core.workspace import find_workspace

    found = []
    for start in (None, dataset):
        with suppress(UsageError):
            found.append(find_workspace(start).frame_cache)
    return list(dict.fromkeys(found))


def _named(source: str) -> Path | tuple[str, Path]:
    name, equals, path = source.partition("=")
    return (name, Path(path)) if equals and "/" not in name and not Path(source).exists() else Path(source)


def _lines(path: Path) -> list[str]:
    from components.core.errors import InputError

    try:
        lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
        return [line for line in lines if line]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path)) from error


def _shares(given: Iterable[str] | None) -> dict[str, float]:
    from components.core.errors import UsageError

    shares: dict[str, float] = {}
    for pair in given or ("train=0.8", "val=0.2"):
        name, _, share = pair.partition("=")
        try:
            number = float(share)
        except ValueError as error:
            raise UsageError(f"--share {pair!r} is not NAME=SHARE", hint="Write for example train=0.8") from error
        if name in shares:
            raise UsageError(f"two shares are called {name!r}")
        shares[name] = number
    return shares


def _told(done: Deletion, word: str) -> str:
    text = f"{len(done.episodes)} episodes, {done.frames} frames {word}\n"
    for old, new in done.replaced.items():
        text += f"  {old}: {'rewritten' if new == old else f'now {new}' if new else 'nothing stays'}\n"
    text += "".join(
        f"another hard link keeps the bytes of {name}: find it with find -samefile\n" for name in done.linked
    )
    text += "".join(
        f"a run that was killed left {name} beside the dataset: look what is in it\n" for name in done.beside
    )
    text += "".join(f"{name} shows what it was made of: make it again, or remove it\n" for name in done.shown)
    text += "".join(f"somebody uses decoded frames in {name}: remove them afterwards\n" for name in done.cached)
    return text


def _manifest(manifest: Any) -> dict[str, Any]:
    members = [{**vars(member), "sites": list(member.sites)} for member in manifest.members]
    return {
        "out": str(manifest.root),
        "digest": manifest.digest,
        "episodes": manifest.totals["episodes"],
        "frames": manifest.totals["frames"],
        "moved_to_val": manifest.totals["moved_to_val"],
        "members": members,
    }


def _moved_text(count: int) -> str:
    return f"{count} episodes are held out now, as the same recording is held out elsewhere\n" if count else ""


def _manifest_text(manifest: Any) -> str:
    counts = f"{manifest.totals['episodes']} episodes, {manifest.totals['frames']} frames"
    return f"{counts} of {len(manifest.members)} datasets in {manifest.root}"
