"""Lab 07, Make it yours."""
