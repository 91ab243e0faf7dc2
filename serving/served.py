"""Which site and which rigs a state folder belongs to, so that an operator need not say it."""

from pathlib import Path

from pydantic import Field, ValidationError

from gridhash.config import SiteConfig
from gridhash.errors import ServingError
from gridhash.serving.state_folder import Record, StateFolder, read_small, write_whole


class Served(Record):
    """What the controller was started with."""

    site: str = Field(max_length=256)
    """The site's name."""
    site_json: str
    """The site as it is served, with as many rigs as are listed."""
    rigs: Path
    """The rig list, by its whole path."""

    @property
    def config(self) -> SiteConfig:
        """The site."""
        return SiteConfig.model_validate_json(self.site_json)


def write_served(folder: StateFolder, site: SiteConfig, rigs: Path) -> None:
    """Note what is served here; raises OSError if it cannot be written."""
    served = Served(site=site.name, site_json=site.model_dump_json(), rigs=rigs.resolve())
    write_whole(folder.served, served.to_bytes())


def read_served(folder: StateFolder) -> Served:
    """Return what is served here.

    Raises
    ------
    ServingError
        If no controller was ever started here, or the note cannot be read.
    """
    content = read_small(folder.served)
    if content is None:
        raise ServingError(
            f"{folder.path} says of no site that it is served there: give --state FOLDER of a "
            "running site, or --site and --rigs"
        )
    try:
        served = Served.model_validate_json(content)
        served.config  # noqa: B018  # a site that cannot be read is found here, not later
    except ValidationError as err:
        raise ServingError(f"{folder.served}: {err.errors()[0]['msg']}") from err
    return served
