"""Programs of other people, run under the launcher from the examples in conf/examples."""
