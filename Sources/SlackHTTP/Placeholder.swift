// SlackHTTP
