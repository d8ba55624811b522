"""The doctor: looks at the whole chain of a kegerator, and says where it is cut and what to do."""
