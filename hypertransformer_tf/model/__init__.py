"""The HyperTransformer itself: its settings, generate and classify, and its losses."""
