"""One module a page: what the public API answers in, a template's values out."""
