"""The reference pages: one module per page, each a function from the code to Markdown."""
