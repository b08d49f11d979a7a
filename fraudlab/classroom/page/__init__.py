"""The instructor's page, behind a password of its own: who is stuck, who asks for help, and what can be done for them."""
