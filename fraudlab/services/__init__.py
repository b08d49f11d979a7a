"""The consumers of suspicious_activities."""
