"""Notifications in the API and the console: routes and pages, plugged in by the web process."""
