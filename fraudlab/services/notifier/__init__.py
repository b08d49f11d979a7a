"""The notifier: tells each person, once per episode and channel, that their account was stopped."""
