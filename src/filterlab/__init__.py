"""What convolutional networks learn, as a pipeline anyone can rerun."""
