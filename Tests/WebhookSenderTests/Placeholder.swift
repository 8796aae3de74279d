// WebhookSenderTests
