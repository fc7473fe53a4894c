"""What a competent person writes from the tutorials of FastAPI, FastStream and SQLModel."""
