"""The history of every run, kept in MLflow. Only recorder.py imports mlflow, in processes of its own."""

from filterlab.tracking.run import Found, NullRun, Run, reading, resume, start

__all__ = ["Found", "NullRun", "Run", "reading", "resume", "start"]
