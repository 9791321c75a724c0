"""Training a HyperTransformer: the losses, the recipe, the step and the loop."""
