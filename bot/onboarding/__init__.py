"""What the platform's own number does for firms: their people ask by chat, and it is done here."""
