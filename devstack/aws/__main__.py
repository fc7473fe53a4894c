"""`python -m devstack.aws`: what `./run aws` runs; apart from other commands, which need no client of AWS."""

from typing import Annotated

import typer
from rich.console import Console

from devstack.aws import plan as planned
from devstack.aws import prechecks
from devstack.aws.template import MAIN, Template

aws = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="The CloudFormation templates of deploy/aws. See docs/howto/deploy-on-aws.md.",
)


@aws.callback()
def of_aws() -> None:
    """Have subcommands, even if there is one only."""


@aws.command()
def plan(
    given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME=VALUE...",
            help="Parameters of deploy/aws/template.yaml, as for `aws cloudformation deploy --parameter-overrides`: "
            "Release=1.4.0 Artifacts=BUCKET CertificateArn=ARN. Others have defaults.",
            show_default=False,
        ),
    ] = None,
    *,
    region: Annotated[str | None, typer.Option(help="The region; else as AWS's own tools find it.")] = None,
) -> None:
    """Check what can be checked before a stack is made, and show what would be made, what is public, and its cost.

    Makes and changes nothing, and needs no AWS account. With credentials it looks at bucket, images and certificate,
    too. Status 1 if a check fails.
    """
    template = Template(MAIN, _values(given or []))
    checked = [*prechecks.of_files(template), *prechecks.of_account(template, prechecks.session(region))]
    planned.show(checked, list(template.everything()), Console(soft_wrap=True))
    raise typer.Exit(1 if any(each.good is False for each in checked) else 0)


def _values(given: list[str]) -> dict[str, str]:
    """The parameters. Raises BadParameter for one that the template does not have, with those that it has."""
    pairs = [each.partition("=") for each in given]
    names = sorted(Template(MAIN).parameters)
    for name, sign, _ in pairs:
        if not sign or name not in names:
            wrong = f"{name!r} is no parameter" if sign else f"{name!r} is not NAME=VALUE"
            raise typer.BadParameter(f"{wrong}. There are: {', '.join(names)}")
    return {name: value for name, _, value in pairs}


if __name__ == "__main__":
    aws(prog_name="./run aws")
