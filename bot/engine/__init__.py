"""What turns events into decisions and decisions into effects."""
