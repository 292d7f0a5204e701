"""The commands of the management interfaces: registry, dispatcher, handlers, typed results."""
