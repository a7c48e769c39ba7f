"""All architectures that can be built, by family; loads no torch."""
