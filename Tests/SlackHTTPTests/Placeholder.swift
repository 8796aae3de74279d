// SlackHTTPTests
