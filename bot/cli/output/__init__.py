"""The text that commands print, made of views (`worker.views`) alone. Pure, but for the file of the plot."""
