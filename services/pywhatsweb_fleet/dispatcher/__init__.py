"""The door of the fleet: takes commands in order, decides on each, and routes it; answers for sessions."""
