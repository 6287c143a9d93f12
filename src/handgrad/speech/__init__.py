"""Speech: from recordings to phoneme states, frame by frame."""
