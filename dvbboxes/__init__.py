"""See and steer many dvbbox playout servers from one machine."""

__version__ = "0.1.0"
