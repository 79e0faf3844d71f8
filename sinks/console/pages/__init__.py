"""One module per page: responses of the public API in; a template's values out."""
