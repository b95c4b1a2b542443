"""The explorer's server: what is opened, and one router per topic."""
