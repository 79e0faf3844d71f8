"""An event's properties in; the typed columns of a row of `events`, in Python and in SQL, out."""
