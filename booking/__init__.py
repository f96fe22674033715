"""The microservice behind the clinic's form: capture leads, book times, tell the desk."""
