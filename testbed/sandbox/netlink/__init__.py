"""Fast netlink: this package packs the messages itself and sends many at a time."""
