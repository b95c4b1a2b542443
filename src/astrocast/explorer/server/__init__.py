"""The explorer's server: open projects, and one router per topic."""
