"""The marketplace: what a firm can begin with, one folder for each template."""
