"""Speech: from recordings to phoneme states of frames."""
