"""WhatsApp: Meta's Cloud API, heard and spoken to."""
