// SlackSimulatorTests
