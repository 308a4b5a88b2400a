"""A web gallery of archives on loopback. Needs the optional extra ``browse``."""
