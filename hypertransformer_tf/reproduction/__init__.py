"""The paper's tables and figures: an index of rows, each a gin file; what runs them; what makes of the results."""
