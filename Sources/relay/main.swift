// The command line.

print("relay")
