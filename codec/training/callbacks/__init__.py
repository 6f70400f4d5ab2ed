"""What happens around the training step: checkpoints, exported models, progress, listening, a summary."""

from codec.training.callbacks.checkpoints import Checkpoints, Stopped
from codec.training.callbacks.listen import Listen
from codec.training.callbacks.progress import TrainingBar
from codec.training.callbacks.summary import Summary

__all__ = ["Checkpoints", "Listen", "Stopped", "Summary", "TrainingBar"]
