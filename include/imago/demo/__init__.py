"""The main job, told as a story: the whole lifecycle on the flights of 2013, through a real Airflow."""

from imago.demo.story import Story, World

__all__ = ["Story", "World"]
