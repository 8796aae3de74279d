// AdminServer
