"""What flows ask of the outside, by topic: typed requests, served by the handlers through lanes."""
