"""Each process imports this module first: from then on it imports the compiled form of modules that have one."""

from schemas.compiled import modules

modules.use()
