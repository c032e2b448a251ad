"""The desk: people who answer. Until a helpdesk is connected, requests for a person are recorded."""
