// SlackConnector
