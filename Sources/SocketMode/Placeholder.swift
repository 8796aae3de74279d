// SocketMode
