"""Few-shot methods that the HyperTransformer is compared with: same episodes, same CNN, same evaluation."""
