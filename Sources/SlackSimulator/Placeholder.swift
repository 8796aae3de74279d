// SlackSimulator
