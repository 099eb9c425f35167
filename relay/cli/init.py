"""The command `init`: at most five questions, then every file that a shop's relay needs, and what to do with them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, cast, get_args

import click

from relay.cli.options import config_option
from relay.cli.starter import (
    LOCAL_RELAY,
    PLATFORM_FILES,
    Answers,
    Consent,
    Front,
    check_variable,
    default_public_url,
    starter_files,
    tag,
)
from relay.errors import RelayError

SITE: Final = "1/5 The shop's address, such as https://shop.example"
PIXEL: Final = "2/5 The pixel's id, such as 1234567890 (Events Manager, Data sources)"
PLACE: Final = "3/5 Where its access token will be: a variable's name, or the path of a file"
FRONT: Final = (
    "4/5 What answers for the shop's host: a web server of yours on this machine (caddy, nginx, apache), or other,\n"
    "    such as a hosted shop; fly, render or heroku to run the relay there"
)
CONSENT: Final = (
    "5/5 Consent: as the page's own fbq calls say (pixel), only after an explicit grant (required),\n"
    "    or vouched for by the site (granted)"
)


@click.command()
@config_option
@click.option("--site", help="Origin of the shop's pages, such as https://shop.example.")
@click.option("--pixel", help="The pixel's id, from Events Manager.")
@click.option("--token-env", help="Name of the variable that will hold its access token.")
@click.option("--token-file", help="Path of the file that will hold it, instead.")
@click.option("--front", type=click.Choice(get_args(Front)), help="What answers for the shop's host.")
@click.option("--consent", type=click.Choice(get_args(Consent)), help="The site's setting of that name.")
@click.option("--public-url", help="The relay's address as browsers see it; left out: by --front.")
@click.option(
    "--test-event-code", help="Shows events under Test Events in Events Manager; for the first day."
)
@click.option("--yes", is_flag=True, help="Ask nothing that has a default.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def init(
    config: Path,
    site: str | None,
    pixel: str | None,
    token_env: str | None,
    token_file: str | None,
    front: str | None,
    consent: str | None,
    public_url: str | None,
    test_event_code: str | None,
    yes: bool,
    force: bool,
) -> None:
    """Write settings, compose file, unit and tag for one shop."""
    if token_env and token_file:
        raise RelayError("--token-env and --token-file are both given; keep one.")
    site = site or click.prompt(SITE)
    pixel = pixel or click.prompt(PIXEL)
    if not token_env and not token_file:
        place = _ask(PLACE, "META_ACCESS_TOKEN", yes=yes)
        token_env, token_file = (None, place) if "/" in place else (place, None)
    front = front or _ask(FRONT, "other", get_args(Front), yes=yes)
    consent = consent or _ask(CONSENT, "pixel", get_args(Consent), yes=yes)
    answers = Answers(
        site=site,
        pixel=pixel,
        front=cast(Front, front),
        consent=cast(Consent, consent),
        public_url=public_url or default_public_url(site, front),
        token_env=token_env and check_variable(token_env),
        token_file=token_file,
        test_event_code=test_event_code,
    )
    folder = config.parent
    files = starter_files(answers, has_dockerfile=(folder / "Dockerfile").exists())
    _write({config if name == "relay.toml" else folder / name: text for name, text in files.items()}, force)
    click.echo(f"Wrote {', '.join([str(config), *(name for name in files if name != 'relay.toml')])}.\n")
    click.echo("\n".join(next_steps(answers, files)))


def _ask(question: str, default: str, choices: Iterable[str] | None = None, *, yes: bool) -> str:
    if yes:
        return default
    kind = click.Choice(list(choices)) if choices else None
    return str(click.prompt(question, default=default, type=kind, show_choices=False))


def _write(files: Mapping[Path, str], force: bool) -> None:
    """All of them or none: what is there already stays as it is, unless it may be overwritten."""
    if not force and (there := [str(path) for path in files if path.exists()]):
        raise RelayError(
            f"{', '.join(there)}: there already. Edit by hand, overwrite with --force, or name another folder: "
            "--config FOLDER/relay.toml."
        )
    for path, text in files.items():
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise RelayError(
                f"{path} cannot be written: {error.strerror}. Name another folder: --config FOLDER/relay.toml."
            ) from None


def next_steps(answers: Answers, files: Iterable[str]) -> list[str]:
    """The host recipe that fits and why, and what is left to do."""
    steps = [_place_token(answers), *_bring_up(answers, files)]
    return [
        *_recipe(answers),
        "",
        "Next:",
        *(f"  {number}. {step}" for number, step in enumerate(steps, 1)),
        "",
        tag(answers).rstrip(),
    ]


def _recipe(answers: Answers) -> list[str]:
    if answers.public_url == LOCAL_RELAY:
        return [f"The relay is for this machine only, at {LOCAL_RELAY}: to try it, not for visitors."]
    chosen = 1 if answers.path else 3 if answers.front in ("render", "heroku") else 2
    recipes = (
        "a path of the shop's own origin. Safari keeps its cookies 90 days, and it has the shop's own A and AAAA "
        "records, so Meta and the relay see one address.",
        "a subdomain with A and AAAA records in the shop's own network. In another network Safari may keep its "
        "cookies 7 days only; without AAAA, visitors with IPv6 have another address here than at Meta.",
        "a subdomain as CNAME to a provider. Safari keeps its cookies 7 days; events count all the same.",
    )
    return [
        f"Host: {answers.public_url}. Of three ways, the better first:",
        *(f"{'->' if n == chosen else '  '} {n}. {text}" for n, text in enumerate(recipes, 1)),
    ]


def _place_token(answers: Answers) -> str:
    if answers.token_file:
        return f"Put the access token into {answers.token_file}, readable by the relay alone."
    return f"Put the access token into {answers.token_env}, where the relay runs: a secret, and no command's argument."


def _bring_up(answers: Answers, files: Iterable[str]) -> list[str]:
    if answers.public_url == LOCAL_RELAY:
        return ["counterfoil serve", "Put the tag (tag.html) into the <head> of every page."]
    if answers.front in PLATFORM_FILES:
        (first, *_) = PLATFORM_FILES[answers.front]
        start = f"Follow the head of {first}, and docs/install.md."
    else:
        start = "docker compose up -d --build; or counterfoil.service, as its head says."
    fragment = next((name for name in files if name.endswith(".conf")), None)
    front = [f"Put {fragment} where its head says, and reload {answers.front}."] if fragment else []
    names = [] if answers.path else [f"Let {answers.host} lead to this relay, by IPv4 and IPv6."]
    return [
        start,
        *front,
        *names,
        "Put the tag (tag.html) into the <head> of every page, before Meta's base code.",
        f"counterfoil doctor --url {answers.site}/",
    ]
