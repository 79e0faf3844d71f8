"""The backed up records of `control` in; a refusal where this process has no key for the secrets in them, out."""

import json
import re
from pathlib import Path

from deploy.backup.manifest import Manifest
from deploy.backup.record_files import records_in
from schemas import topics
from schemas.control.sealing import unseal
from schemas.errors import CannotStart

_SEALED = re.compile(rb'"\\u001fsealed:[^"]*"')


def refuse_sealed(folder: Path, manifest: Manifest) -> None:
    """Raises ``CannotStart``: processes without the key would go on without these webhooks and receivers."""
    last = {
        record.key: record.value or b""
        for copy in manifest.topics.get(topics.CONTROL.name, ())
        for record in records_in(folder / copy.file)
    }
    lost = [key for key, value in last.items() if not _opens(value)]
    if lost:
        raise CannotStart(
            f"{len(lost)} webhooks and receivers are sealed with a key that is not here: set the HEADWATER_SECRET_KEY"
            " of then, or put the secret.key of the home of then into HEADWATER_HOME; --yes goes on without them"
        )


def _opens(value: bytes) -> bool:
    try:
        for text in _SEALED.findall(value):
            unseal(json.loads(text))
    except ValueError:
        return False
    return True
