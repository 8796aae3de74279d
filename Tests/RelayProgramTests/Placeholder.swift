// RelayProgramTests
