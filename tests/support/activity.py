"""An activity as the detector writes it."""

from typing import Any

ACTIVITY: dict[str, Any] = {
    "activity_id": "activity-5",
    "user_id": 42,
    "user_first_name": "Ada",
    "user_last_name": "Lovelace",
    "user_email": "ada@example.com",
    "user_phone_number": "+49 30 1234567",
    "window_start": "2026-07-01T11:02:03.000Z",
    "window_end": "2026-07-01T12:02:03.000Z",
    "total_amount_eur": "1200.00",
    "transaction_count": 2,
    "countries": ["DE", "FR"],
    "transaction_ids": [4, 5],
    "transaction_id": 5,
    "user_suspicious_activity": True,
    "rule": "2-countries-in-3600-s",
    "created_at": "2026-07-01T12:02:03.004Z",
    "detected_at": "2026-07-01T12:02:03.017Z",
}
