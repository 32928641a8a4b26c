"""The process: options, live objects made from settings, the log, the demo."""
