// WebhookSender
