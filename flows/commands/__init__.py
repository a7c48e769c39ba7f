"""One module per group of commands; each adds its commands to the app and imports what it needs when it runs."""
