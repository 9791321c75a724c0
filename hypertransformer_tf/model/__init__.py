"""The HyperTransformer itself: its settings, and generate and classify."""
