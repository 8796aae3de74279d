// RelayConfigurationTests
