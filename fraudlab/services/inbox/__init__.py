"""The inbox: a mail server and a push server for everybody, with a page that shows what they received. Loopback only."""
