"""The clients of the zoo; they run in memory."""
