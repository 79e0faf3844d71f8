"""One module a page: answers of the public API in, a template's values out."""
