"""Training audio from folders, manifests, tar shards and public corpora: random segments, and whole clips."""

from codec.training.data.augment import AugmentConfig
from codec.training.data.mixture import Mixture
from codec.training.data.module import AudioData, AudioFolder, Manifest, Shards, ValidationClips
from codec.training.data.named import VCTK, LibriSpeech, LibriTTS, LJSpeech
from codec.training.data.segments import MixedSegments, SegmentConfig, Segments

__all__ = [
    "VCTK",
    "AudioData",
    "AudioFolder",
    "AugmentConfig",
    "LJSpeech",
    "LibriSpeech",
    "LibriTTS",
    "Manifest",
    "MixedSegments",
    "Mixture",
    "SegmentConfig",
    "Segments",
    "Shards",
    "ValidationClips",
]
