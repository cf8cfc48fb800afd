"""One function per task: load, decide, save. Nothing heavy is imported before a function is called."""
