"""RFC 3875, pure: the variables, the paths of scripts, and the head of a response."""
