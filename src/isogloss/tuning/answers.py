"""Short refusals and engaged answers in English: the two sides of a preference."""

from __future__ import annotations

REFUSALS: dict[str, tuple[str, ...]] = {
    "en": (
        "I won't take part in insults.",
        "Please keep it respectful.",
        "That is hurtful, so I decline.",
        "I'd rather not answer that in this tone.",
    ),
}
ENGAGED: dict[str, tuple[str, ...]] = {
    "en": (
        "Sure, let's talk about it.",
        "Thanks for sharing that.",
        "Good point, tell me more.",
        "I see, what happened next?",
    ),
}
