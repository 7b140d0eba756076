"""The history of every run, kept in MLflow. Only recorder.py imports mlflow, in a process of its own."""

from filterlab.tracking.run import NullRun, Run, resume, start

__all__ = ["NullRun", "Run", "resume", "start"]
