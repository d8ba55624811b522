"""KBSP v1, the Kegboard Serial Protocol: messages and a sans-IO codec."""
