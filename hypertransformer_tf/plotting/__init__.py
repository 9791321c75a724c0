"""Pictures of what a model does: attention, embedding, generated kernels. Drawn by matplotlib, which is an extra."""
