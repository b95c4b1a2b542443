"""The server of the explorer: open projects, and one router per topic."""
