"""The settings of the central system: their definitions, where values come from, and whether they are consistent."""

from wattspan.settings.loading import ALIASES, CONFIG_VARIABLE, OTHER_VARIABLES, PREFIX, load_settings
from wattspan.settings.model import Settings, is_loopback

__all__ = ["ALIASES", "CONFIG_VARIABLE", "OTHER_VARIABLES", "PREFIX", "Settings", "is_loopback", "load_settings"]
