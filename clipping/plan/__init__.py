"""Which frames belong to which clip, and in what portions they are encoded. Pure and exact."""
