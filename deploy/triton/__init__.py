"""The slots: tritonserver processes, one policy each."""
