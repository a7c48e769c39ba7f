"""Model versions and where they came from. The only package that imports MLflow."""
