"""The settings of the central system: what can be set, where values come from, and whether they make sense together."""

from wattspan.settings.loading import ALIASES, CONFIG_VARIABLE, OTHER_VARIABLES, PREFIX, load_settings
from wattspan.settings.model import Settings, is_loopback

__all__ = ["ALIASES", "CONFIG_VARIABLE", "OTHER_VARIABLES", "PREFIX", "Settings", "is_loopback", "load_settings"]
