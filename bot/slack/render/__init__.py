"""What people see: messages, cards, Homes and windows as Block Kit, from the words of `templates`. Pure."""
