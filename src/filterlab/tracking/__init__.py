"""The history of every run, kept in MLflow, which only processes of their own, and `filterlab sync`, import."""

from filterlab.tracking.reader import Found, Reader, reading
from filterlab.tracking.run import NAME, NOTE, NullRun, Run, resume, start

__all__ = ["NAME", "NOTE", "Found", "NullRun", "Reader", "Run", "reading", "resume", "start"]
