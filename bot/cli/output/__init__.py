"""The text that commands print, rendered from views (`worker.views`) alone. Only the plot writes a file."""
