"""The published architectures, each as a choice of parts."""
