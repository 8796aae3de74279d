// SlackConnectorTests
