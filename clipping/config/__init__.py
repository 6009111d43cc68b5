"""What a user can set: the recipe decides a clip's bytes, the execution where and how fast."""
