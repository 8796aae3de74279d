// RelaySimulationTests
