"""A study's config: validated against workflow/schemas/config.schema.json, its defaults filled in."""

from prunetransfer.config.validation import ConfigError, validate_config

__all__ = ["ConfigError", "validate_config"]
