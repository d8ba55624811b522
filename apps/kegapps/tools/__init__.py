"""Small programs for people: test_flow and kegbot_admin."""
