"""Where images come from: every source ends in one `ImagesByClass`."""
