"""The pages and files of the desk."""
