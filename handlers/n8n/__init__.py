"""n8n: a firm's automation. It is told by signed posts (Standard Webhooks) to a webhook of the firm's."""
