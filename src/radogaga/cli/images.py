"""``radogaga images``: pictures as arrays from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from radogaga.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Pictures as arrays.", rich_markup_mode=None)


@app.command("prepare")
def images_prepare(
    source: Annotated[Path, typer.Argument(help="Folder, zip or tar of pictures, or Fashion-MNIST's idx files.")],
    out: Annotated[Path, typer.Option(help="Array to write, a .npy file; a .json beside it says what is in it.")],
    size: Annotated[int, typer.Option(min=1, help="Pixels on a side.")] = 64,
    crop: Annotated[
        str,
        typer.Option(help="What is kept of each picture: the largest centre square, or a square of this many pixels."),
    ] = "centre",
    split: Annotated[
        str | None, typer.Option(help="by-folder: no folder (a person, say) in both the training and the test half.")
    ] = None,
    tenth: Annotated[int, typer.Option(min=0, max=9, help="Which tenth of the pictures, or folders, to test on.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Make one memory-mapped array of pictures, cropped and resized, and list what could not be read."""
    from radogaga.cli.rendering import progress_bar
    from radogaga.images.prepare import prepare_images

    if crop != "centre" and not (crop.isdecimal() and int(crop)):
        raise InputError(f"Expected --crop centre or a number of pixels; got {crop!r}.")
    if split not in (None, "by-folder"):
        raise InputError(f"Expected --split by-folder; got {split!r}.")
    pixels = None if crop == "centre" else int(crop)
    with progress_bar("pictures", quiet=quiet) as progress:
        by_folder = split == "by-folder"
        made = prepare_images(source, out, size=size, crop=pixels, by_folder=by_folder, tenth=tenth, progress=progress)
    if quiet:
        return
    typer.echo(f"{made.array}: {' x '.join(map(str, made.shape))}, {made.test:,} of them to test on")
    for name, reason in list(made.skipped.items())[:20]:
        typer.echo(f"  left out: {name} ({reason})")
    if len(made.skipped) > 20:
        typer.echo(f"  ... {len(made.skipped):,} in all, listed in {made.manifest}")


@app.command("shapes")
def images_shapes(
    out: Annotated[Path, typer.Option(help="Archive to write, a .zip file.")],
    count: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 4000,
    size: Annotated[int, typer.Option(min=1, help="Pixels on a side.")] = 32,
    seed: Annotated[int, typer.Option(min=0, help="Draws the shapes.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Draw soft ellipses of random place, shape and colours: pictures to try things on where there are no others."""
    from radogaga.cli.rendering import progress_bar
    from radogaga.datasets.ellipses import write_ellipses

    with progress_bar("pictures", quiet=quiet) as progress:
        write_ellipses(out, count, size, seed=seed, progress=progress)
    if not quiet:
        typer.echo(f"{out}: {count:,} pictures")
