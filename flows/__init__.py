"""What a person or a schedule starts. The only package that imports Prefect and DVC."""
