"""The routes, a family a file, each a table of `routes.Route`."""
