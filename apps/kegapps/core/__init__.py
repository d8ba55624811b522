"""kegbot_core: meters, taps, flows, tokens, drinks, and the store they live in."""
