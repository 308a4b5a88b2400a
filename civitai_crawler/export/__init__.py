"""An archive in the formats of other programs."""
