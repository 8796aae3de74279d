// SocketModeTests
