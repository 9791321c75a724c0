"""A local web page to try it: draw or drop pictures into classes, generate a classifier, ask it while drawing."""
